//! A small program that takes Linux's place: entered as a kernel is, it drives a DART and an NVMe
//! drive itself, attacks with them, and says what it saw.
//!
//! `payload.test=NAME[,NAME...]` on the command line says what to do, `payload.expect=reached` that
//! an attack is to succeed, because the guard against it was taken out. `payload.gic=FAULT` has the
//! driver of the interrupt controller get one step wrong, which a test has to find. Each test ends with a line
//! `oche-payload: NAME: WORD ...`; the last line is `oche-payload: done pass` or `... fail`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod el1;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a guest for an AArch64 machine: build it with `./oche build`");
    std::process::exit(2);
}
