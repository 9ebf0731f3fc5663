//! A file that is new in these folders has to be embedded as well.

fn main() {
    println!("cargo:rerun-if-changed=static");
    println!("cargo:rerun-if-changed=templates");
}
