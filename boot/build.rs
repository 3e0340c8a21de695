//! Tells the linker how the image is laid out; nothing to do when only the library is built for a PC.

fn main() {
    println!("cargo:rerun-if-changed=image.ld");
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        for argument in [
            &format!("-T{folder}/image.ld"),
            "-pie",
            "--no-dynamic-linker",
            "-znotext",
        ] {
            println!("cargo:rustc-link-arg-bin=oche-image={argument}");
        }
    }
}
