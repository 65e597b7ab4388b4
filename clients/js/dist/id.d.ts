/** 32 hexadecimal digits. `crypto.randomUUID` is not there on pages without TLS. */
export declare function randomId(): string;
