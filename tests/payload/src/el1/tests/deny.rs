//! A drive that nobody attached reaches nothing.

use super::Finding;
use crate::el1::bench::{Bench, Failure, fact, must};
use crate::el1::console::say;
use crate::el1::nvme::{DmaPage, Nvme, Pages, Trouble};

/// Gives the drive queues by address instead of by IOVA, and a command.
///
/// The addresses are first those that the guest knows, then (where Oche reveals them) the machine's
/// own: through a stream that bypasses translation, the latter arrive.
pub(super) fn default_deny(bench: &mut Bench) -> Result<Finding, Failure> {
    must(
        !bench.is_attached(),
        "another test attached the drive: run this one first",
    )?;
    let (drive, dart) = bench.find()?;
    let dart = dart.ok_or(Failure::NoDart)?;
    drive.enable();
    let here = bench.machine.memory.0;
    let machine = bench.target("oche,target-guest-ram").unwrap_or(here);
    let pages = [
        bench.page()?,
        bench.page()?,
        bench.page()?,
        bench.page()?,
        bench.page()?,
    ];
    let mut found = Finding::Contained;
    for state in ["untouched", "blocked"] {
        for base in [here, machine] {
            let at = |index: usize| {
                let page = pages[index];
                DmaPage {
                    page,
                    iova: page.address() - here + base,
                }
            };
            let pages = Pages {
                admin: [at(0), at(1)],
                io: [at(2), at(3)],
                scratch: at(4),
            };
            pages.scratch.page.fill(0x5eed);
            let answer = Nvme::with_admin_queue(&drive, &pages)
                .and_then(|mut nvme| nvme.identify_namespace());
            let written = !pages.scratch.page.holds(0x5eed, 512);
            fact!(
                bench,
                "{state}, by addresses from {base:#x}: {answer:?}, written: {written}"
            );
            if answer != Err(Trouble::Silent) || written {
                found = Finding::Reached;
            }
        }
        // As Linux leaves it before it attaches anything: TCR 0 everywhere.
        dart.reset();
    }
    Ok(found)
}
