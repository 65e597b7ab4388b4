//! A new file of the page is a reason to build again.

fn main() {
    println!("cargo::rerun-if-changed=page");
}
