//! A machine of buses, bridges and functions in memory, and tests on it.

extern crate std;

mod enumerate;
mod isolation;
mod reset;
mod virtual_bus;
mod virtual_capability;

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::addr::{Ipa, Pa};

/// A word: what it reads, which bits can be written, and what it is after a reset.
#[derive(Clone, Copy)]
struct Word {
    value: u32,
    writable: u32,
    reset: u32,
}

struct Node {
    /// The bridge it is behind, by its number here; `None` on the root bus.
    parent: Option<usize>,
    device: u8,
    function: u8,
    words: BTreeMap<u16, Word>,
    /// So many more accesses find nobody.
    absent: u32,
    resets: u32,
}

/// What a write does beside being stored: bits of a word that reset a node.
struct Trigger {
    node: usize,
    offset: u16,
    bits: u32,
    resets: usize,
}

#[derive(Default)]
struct Mock {
    nodes: RefCell<Vec<Node>>,
    triggers: Vec<Trigger>,
    log: RefCell<Vec<(Function, u16, u32)>>,
    /// How long a reset node does not answer.
    absent_after_reset: Cell<u32>,
}

const BUSES: BusRange = BusRange {
    first: 0,
    last: 255,
};

const WINDOWS: HostWindows = HostWindows {
    low: Some(HostWindow {
        bus: 0x1000_0000,
        pa: Pa::new(0x1000_0000),
        size: 0x2eff_0000,
    }),
    high: Some(HostWindow {
        bus: 0x80_0000_0000,
        pa: Pa::new(0x80_0000_0000),
        size: 0x80_0000_0000,
    }),
    io: Some(HostWindow {
        bus: 0,
        pa: Pa::new(0x3eff_0000),
        size: 0x1_0000,
    }),
};

fn at(device: u8, function: u8) -> Function {
    Function::new(device, function).unwrap()
}

fn on(bus: u8, device: u8, function: u8) -> Function {
    Function::on_bus(bus, device, function).unwrap()
}

impl Mock {
    /// Adds a function without BARs.
    fn add(&mut self, parent: Option<usize>, device: u8, function: u8, header: u32) -> usize {
        self.nodes.borrow_mut().push(Node {
            parent,
            device,
            function,
            words: BTreeMap::new(),
            absent: 0,
            resets: 0,
        });
        let node = self.nodes.borrow().len() - 1;
        self.word(node, 0, 0x0010_1b36, 0);
        self.word(node, offset::COMMAND, 0x407, 0xffff);
        self.word(node, offset::CLASS, 0x0108_0202, 0);
        self.word(node, offset::HEADER, header << 16, 0);
        self.word(node, offset::SUBSYSTEM, 0x1100_1af4, 0);
        self.word(node, offset::INTERRUPT, 0x0100, 0x00ff_00ff);
        node
    }

    fn word(&mut self, node: usize, offset: u16, value: u32, writable: u32) {
        let word = Word {
            value,
            writable,
            reset: value,
        };
        self.nodes.borrow_mut()[node].words.insert(offset, word);
    }

    /// Changes a word that is there.
    fn set(&self, node: usize, offset: u16, value: u32) {
        let mut nodes = self.nodes.borrow_mut();
        nodes[node].words.get_mut(&offset).unwrap().value = value;
    }

    fn get(&self, node: usize, offset: u16) -> u32 {
        self.nodes.borrow()[node].words[&offset].value
    }

    /// A drive like QEMU's: one 64-bit BAR of 16 KiB.
    fn drive(&mut self, parent: Option<usize>, device: u8, function: u8, header: u32) -> usize {
        let node = self.add(parent, device, function, header);
        self.word(node, 0x10, 0x4, 0xffff_c000);
        self.word(node, 0x14, 0, 0xffff_ffff);
        node
    }

    /// Gives a node a list of capabilities, each its words.
    fn capabilities(&mut self, node: usize, list: &[(u16, &[(u32, u32)])]) {
        let command = self.get(node, offset::COMMAND);
        self.word(node, offset::COMMAND, command | 1 << 20, 0xffff);
        let first = list.first().map_or(0, |(at, _)| *at);
        self.word(node, offset::CAPABILITIES, first.into(), 0);
        for (index, (at, words)) in list.iter().enumerate() {
            let next = list.get(index + 1).map_or(0, |(at, _)| *at);
            for (place, (value, writable)) in words.iter().enumerate() {
                let next = if place == 0 { u32::from(next) << 8 } else { 0 };
                let offset = at + 4 * u16::try_from(place).unwrap();
                self.word(node, offset, value | next, *writable);
            }
        }
    }

    /// A bridge without a capability: to conventional PCI.
    fn bridge(&mut self, parent: Option<usize>, device: u8, function: u8, header: u32) -> usize {
        let node = self.add(parent, device, function, header | 1);
        self.word(node, offset::BUS_NUMBERS, 0, 0x00ff_ffff);
        self.word(node, offset::IO_WINDOW, 0, 0xf0f0);
        self.word(node, offset::MEMORY_WINDOW, 0, 0xfff0_fff0);
        self.word(node, offset::PREFETCHABLE_WINDOW, 0x0001_0001, 0xfff0_fff0);
        self.word(node, offset::PREFETCHABLE_BASE_HIGH, 0, u32::MAX);
        self.word(node, offset::PREFETCHABLE_LIMIT_HIGH, 0, u32::MAX);
        self.word(node, offset::BRIDGE_CONTROL, 0x0008_0100, 0x0fff_00ff);
        node
    }

    /// A port of PCI Express of that type (4 root, 5 upstream, 6 downstream), with or without
    /// access control.
    fn port(&mut self, parent: Option<usize>, device: u8, kind: u32, acs: bool) -> usize {
        let node = self.bridge(parent, device, 0, 0);
        let header = 0x10 | (2 | kind << 4) << 16;
        self.capabilities(node, &[(0x40, &[(header, 0), (0, 0), (0, 0xffff)])]);
        if acs {
            self.word(node, 0x100, 0x0001_000d, 0);
            self.word(node, 0x104, 0x005f, 0xffff_0000);
        }
        node
    }

    fn reset_by(&mut self, node: usize, offset: u16, bits: u32, resets: usize) {
        self.triggers.push(Trigger {
            node,
            offset,
            bits,
            resets,
        });
    }

    fn resets(&self, node: usize) -> u32 {
        self.nodes.borrow()[node].resets
    }

    /// The node that answers: a bridge passes an access on if the bus is one of its own.
    fn find(&self, wanted: Function) -> Option<usize> {
        let nodes = self.nodes.borrow();
        let mut parent = None;
        let mut bus = 0;
        while bus != wanted.bus() {
            let (next, numbers) = nodes.iter().enumerate().find_map(|(index, node)| {
                let numbers = node.words.get(&offset::BUS_NUMBERS)?.value.to_le_bytes();
                let [_, secondary, subordinate, _] = numbers;
                let inside = secondary != 0 && (secondary..=subordinate).contains(&wanted.bus());
                let is_bridge = node.words[&offset::HEADER].value >> 16 & 0x7f == 1;
                (node.parent == parent && is_bridge && inside).then_some((index, numbers))
            })?;
            (parent, bus) = (Some(next), numbers[1]);
        }
        nodes.iter().position(|node| {
            node.parent == parent
                && (node.device, node.function) == (wanted.device(), wanted.function())
        })
    }
}

impl ConfigSpace for Mock {
    fn read32(&self, function: Function, offset: u16) -> u32 {
        let Some(index) = self.find(function) else {
            return u32::MAX;
        };
        let node = &mut self.nodes.borrow_mut()[index];
        if node.absent > 0 {
            node.absent -= 1;
            return u32::MAX;
        }
        node.words.get(&offset).map_or(0, |word| word.value)
    }

    fn write32(&self, function: Function, offset: u16, value: u32) {
        self.log.borrow_mut().push((function, offset, value));
        let Some(index) = self.find(function) else {
            return;
        };
        let mut nodes = self.nodes.borrow_mut();
        if let Some(word) = nodes[index].words.get_mut(&offset) {
            word.value = word.value & !word.writable | value & word.writable;
        }
        for trigger in &self.triggers {
            let hit = (trigger.node, trigger.offset) == (index, offset);
            if hit && value & trigger.bits == trigger.bits {
                let node = &mut nodes[trigger.resets];
                node.resets += 1;
                node.absent = self.absent_after_reset.get();
                for word in node.words.values_mut() {
                    word.value = word.reset;
                }
            }
        }
    }
}
