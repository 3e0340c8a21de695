//! `oche bench irq`: what an interrupt costs at EL2, in instructions.

use std::fs;

use serde_json::{Value, json};

use super::counts::{Counts, INTERRUPTS, Kind, Stays};
use super::load::{self, Loaded};
use super::options::IrqOptions;
use super::profile::{Profile, ratio};
use crate::build::{BareMetal, Built, Product, build};
use crate::failure::{Failure, OrSay, Outcome, Status};
use crate::run::image_size;
use crate::symbols::Symbols;
use crate::workspace::Workspace;

/// The way in which the disk has to interrupt for the limit to mean anything.
const MESSAGES: &str = "msi-x";

/// What two runs of different length come to.
struct Cost {
    /// Interrupts that the guest took, in the longer run more than in the shorter.
    interrupts: u64,
    reads: u64,
    /// Instructions of interrupts' stays, likewise.
    instructions: u64,
    /// Instructions of all stays, likewise.
    everything: u64,
    /// Stays for interrupts, likewise.
    stays: u64,
}

impl Cost {
    fn between(less: &Loaded, more: &Loaded) -> Self {
        const ALL: [Kind; 4] = [Kind::Synchronous, Kind::Irq, Kind::Fiq, Kind::SError];
        let grew = |kinds: &[Kind], of: fn(Stays) -> u64| {
            of(more.counts.stays(kinds)).saturating_sub(of(less.counts.stays(kinds)))
        };
        Cost {
            interrupts: more.interrupts.saturating_sub(less.interrupts),
            reads: more.reads.saturating_sub(less.reads),
            instructions: grew(&INTERRUPTS, |stays| stays.instructions),
            everything: grew(&ALL, |stays| stays.instructions),
            stays: grew(&INTERRUPTS, |stays| stays.count),
        }
    }

    /// Instructions per interrupt, if any interrupt came to Oche.
    fn per_interrupt(&self) -> Option<f64> {
        (self.stays != 0).then(|| ratio(self.instructions, self.interrupts))
    }
}

/// `oche bench irq`.
pub(super) fn irq(workspace: &Workspace, options: &IrqOptions) -> Outcome<Status> {
    if options.mib == 0 {
        return Err(Failure::new("--mib has to be at least 1"));
    }
    // The longer one is three times as long: what does not depend on the length goes out.
    let less = load::run(workspace, options, options.mib)?;
    let more = load::run(workspace, options, options.mib.saturating_mul(3))?;
    let oche = {
        let _lock = workspace.lock()?;
        build(workspace, &BareMetal::choose(workspace)?, Product::Oche)?
    };
    let image =
        fs::read(&oche.image).or_say(format_args!("cannot read {}", oche.image.display()))?;
    let cost = Cost::between(&less, &more);
    show(&less, &more, &cost, &image);
    if options.profile {
        profile(workspace, &oche, &less.counts, &more.counts)?;
    }
    if let Some(path) = &options.json {
        let what = format!("cannot write {}", path.display());
        let text = serde_json::to_string_pretty(&report(&less, &more, &cost, &image));
        fs::write(path, text.or_say(&what)? + "\n").or_say(&what)?;
    }
    options.at_most.map_or(Ok(()), |limit| {
        judge(&cost, limit, more.disk.contains_key(MESSAGES))
    })?;
    Ok(Status::Good)
}

fn judge(cost: &Cost, limit: u64, by_message: bool) -> Outcome<()> {
    let Some(per_interrupt) = cost.per_interrupt() else {
        return Err(Failure::new(
            "no interrupt came to Oche, so there is nothing that --at-most could limit",
        ));
    };
    if !by_message {
        return Err(Failure::new(
            "the guest's disk does not interrupt by message, and --at-most is for that",
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "a limit that somebody typed")]
    if per_interrupt > limit as f64 {
        return Err(Failure::new(format!(
            "an interrupt costs {per_interrupt:.1} instructions at EL2, more than {limit}"
        )));
    }
    Ok(())
}

fn show(less: &Loaded, more: &Loaded, cost: &Cost, image: &[u8]) {
    println!("{:<38}{:>12}{:>12}{:>12}", "", "short", "long", "more");
    let row = |name: &str, of: &dyn Fn(&Loaded) -> u64| {
        let (a, b) = (of(less), of(more));
        println!("{name:<38}{a:>12}{b:>12}{:>12}", b.saturating_sub(a));
    };
    row("reads of 16 KiB", &|run| run.reads);
    row("interrupts that the guest took", &|run| run.interrupts);
    for way in more.disk.keys() {
        row(&format!("  of them the disk's, by {way}"), &|run| {
            run.disk.get(way).copied().unwrap_or(0)
        });
    }
    for (name, kinds) in [
        ("interrupts", &INTERRUPTS[..]),
        ("traps", &[Kind::Synchronous]),
    ] {
        row(&format!("stays at EL2 for {name}"), &|run| {
            run.counts.stays(kinds).count
        });
        row("  instructions", &|run| {
            run.counts.stays(kinds).instructions
        });
    }
    row("instructions of the guest", &|run| run.counts.guest);
    for cause in more.exits.keys() {
        if more.exits.get(cause) != Some(&0) {
            row(&format!("exits: {cause}"), &|run| {
                run.exits.get(cause).copied().unwrap_or(0)
            });
        }
    }
    println!();
    match cost.per_interrupt() {
        Some(cost) => println!("instructions at EL2 per interrupt      {cost:.1}"),
        None => println!("no interrupt came to Oche: the guest takes them itself"),
    }
    for (name, kinds) in [
        ("instructions per stay for an interrupt", &INTERRUPTS[..]),
        ("instructions per stay for a trap", &[Kind::Synchronous]),
    ] {
        let stays = more.counts.stays(kinds);
        if stays.count != 0 {
            println!(
                "{name:<38} {:.1} ({} to {})",
                ratio(stays.instructions, stays.count),
                stays.least,
                stays.most
            );
        }
    }
    println!(
        "instructions at EL2 per read           {:.1}",
        ratio(cost.everything, cost.reads)
    );
    println!(
        "instructions from entry to the guest   {}",
        more.counts.boot
    );
    println!(
        "image                                  {} bytes, {} in memory",
        image.len(),
        image_size(image)
    );
}

fn profile(workspace: &Workspace, oche: &Built, less: &Counts, more: &Counts) -> Outcome<()> {
    let symbols = Symbols::read(&oche.elf)?;
    // Each core starts once, however long the run.
    let nothing = Counts::default();
    for (name, kinds, less) in [
        ("interrupts", &INTERRUPTS[..], less),
        ("traps", &[Kind::Synchronous], less),
        ("starting", &[Kind::Start], &nothing),
    ] {
        let profile = Profile::between(less, more, kinds, more.image);
        if profile.is_empty() {
            continue;
        }
        println!(
            "\ninstructions by function, for {name}:\n{}",
            profile.table(&symbols)
        );
        let path = workspace.folder("out")?.join(format!("{name}.profile"));
        let path = profile.write(&symbols, &path)?;
        println!("each instruction: {}", path.display());
    }
    Ok(())
}

fn report(less: &Loaded, more: &Loaded, cost: &Cost, image: &[u8]) -> Value {
    let run = |run: &Loaded| {
        let stays = |kinds: &[Kind]| {
            let stays = run.counts.stays(kinds);
            json!({
                "count": stays.count, "instructions": stays.instructions,
                "least": stays.least, "most": stays.most,
            })
        };
        json!({
            "reads": run.reads, "interrupts": run.interrupts, "disk": run.disk, "exits": run.exits,
            "stays": {
                "irq": stays(&[Kind::Irq]), "fiq": stays(&[Kind::Fiq]),
                "synchronous": stays(&[Kind::Synchronous]), "serror": stays(&[Kind::SError]),
            },
            "guest_instructions": run.counts.guest,
        })
    };
    json!({
        "short": run(less), "long": run(more),
        "instructions_per_interrupt": cost.per_interrupt(),
        "instructions_per_read": ratio(cost.everything, cost.reads),
        "instructions_to_guest": more.counts.boot,
        "image_bytes": image.len(), "image_memory": image_size(image),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(instructions: u64, stays: u64) -> Cost {
        Cost {
            interrupts: 100,
            reads: 90,
            instructions,
            everything: instructions,
            stays,
        }
    }

    #[test]
    fn the_limit_is_per_interrupt_and_for_messages() {
        assert_eq!(judge(&cost(35_000, 130), 350, true), Ok(()));
        assert!(judge(&cost(35_100, 130), 350, true).is_err());
        assert!(judge(&cost(35_000, 130), 350, false).is_err());
        assert!(judge(&cost(0, 0), 350, true).is_err());
    }
}
