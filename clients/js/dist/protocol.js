// What goes over the wire, as docs/protocol.md describes it.
const TYPES = { send: 'message', send_opaque: 'opaque' };
const CHANGES = { create_group: 'create', set_role: 'role' };
const QUEUED = ['send', 'send_opaque', 'edit', 'delete', 'react', 'unreact'];
/**
 * The event that the server does not send to the session that made an entry: the reply stands for
 * it. `null` for commands that append nothing.
 */
export function ownEntry(sender, cmd, fields, ack) {
    if (fields.client_id === undefined)
        return null;
    const { conversation, client_id, resend, ...body } = fields;
    const { entry, position, prev } = ack;
    const rest = QUEUED.includes(cmd)
        ? { type: TYPES[cmd] ?? cmd, ...body }
        : { type: 'members', change: cmd === 'leave' ? cmd : { [CHANGES[cmd] ?? cmd]: body } };
    return {
        event: 'entry',
        conversation: conversation ?? ack.conversation,
        position,
        prev,
        entry,
        sender,
        client_id,
        ...rest,
    };
}
