//! Oche's image. All of it runs at EL2; on a PC there is only the library beside it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "this target is 64 bits wide: u64 and usize are the same there"
)]
mod el2;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is an image for EL2 of an AArch64 machine: build it with `./oche build`");
    std::process::exit(2);
}
