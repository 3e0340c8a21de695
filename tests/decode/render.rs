//! Our decoding in the words of the table (README.md says what they mean).

use core::fmt::Write;

use hv_core::trap::instruction::{
    AtomicOperator, Base, Extend, Layout, MemoryAccess, Offset, Operation, Registers, Unsupported,
    WriteBack,
};

const fn operator(operator: AtomicOperator) -> &'static str {
    match operator {
        AtomicOperator::Add => "add",
        AtomicOperator::Clear => "clr",
        AtomicOperator::ExclusiveOr => "eor",
        AtomicOperator::Set => "set",
        AtomicOperator::SignedMaximum => "smax",
        AtomicOperator::SignedMinimum => "smin",
        AtomicOperator::UnsignedMaximum => "umax",
        AtomicOperator::UnsignedMinimum => "umin",
        AtomicOperator::Swap => "swp",
    }
}

/// One line of the table.
pub(crate) fn render(access: &MemoryAccess) -> String {
    let bytes = access.bytes;
    let (mut signed_wide, mut before) = (None, String::new());
    let mut line = match access.operation {
        Operation::Load { sign_extend, wide } => {
            if sign_extend {
                signed_wide = Some(wide);
            }
            format!("ld{}{bytes}", if sign_extend { "s" } else { "" })
        }
        Operation::Store => format!("st{bytes}"),
        Operation::LoadExclusive => format!("ldx{bytes}"),
        Operation::StoreExclusive { status } => {
            before = format!("w{status},");
            format!("stx{bytes}")
        }
        Operation::Atomic {
            operator: by,
            source,
        } => {
            before = format!("{}{source},", general(bytes, None));
            format!("{}{bytes}", operator(by))
        }
        Operation::CompareAndSwap { compare } => {
            let name = general(bytes, None);
            before = match access.registers {
                Registers::GeneralPair(..) => format!("{name}{compare},{name}{},", compare + 1),
                _ => format!("{name}{compare},"),
            };
            format!("cas{bytes}")
        }
        Operation::Prefetch => return format!("pf {}", address(access)),
        Operation::ZeroBlock => return "zero".into(),
        Operation::Unsupported(Unsupported::MemoryTags) => return "tags".into(),
        Operation::Unsupported(Unsupported::MemoryCopy) => return "copy".into(),
        Operation::Unsupported(Unsupported::SixtyFourBytes) => return "64".into(),
    };
    if access.ordering.acquire {
        line.push('a');
    }
    if access.ordering.release {
        line.push('l');
    }
    let name = general(bytes, signed_wide);
    let _ = match access.registers {
        Registers::None => Ok(()),
        Registers::General(n) => write!(line, " {before}{name}{n}"),
        Registers::GeneralPair(n, m) => write!(line, " {before}{name}{n},{name}{m}"),
        Registers::Vector(n) => write!(line, " v{n}"),
        Registers::VectorPair(n, m) => write!(line, " v{n},v{m}"),
        Registers::Structure(structure) => {
            let (first, count) = (structure.first, structure.count);
            match structure.layout {
                Layout::Whole { lanes } => write!(line, " v{first}+{count}.{lanes}"),
                Layout::Interleaved { lanes } => write!(line, " v{first}+{count}i{lanes}"),
                Layout::Lane(lane) => write!(line, " v{first}+{count}@{lane}"),
                Layout::Replicated { lanes } => write!(line, " v{first}+{count}r{lanes}"),
            }
        }
    };
    line.push(' ');
    line.push_str(&address(access));
    line
}

/// `w` or `x`: only a load that extends its sign has a choice.
const fn general(bytes: u8, signed_wide: Option<bool>) -> &'static str {
    match (bytes, signed_wide) {
        (8, _) | (_, Some(true)) => "x",
        _ => "w",
    }
}

fn address(access: &MemoryAccess) -> String {
    let base = match access.address.base {
        Base::Register(n) => n.to_string(),
        Base::Authenticated(n) => format!("auth{n}"),
        Base::ProgramCounter => "pc".into(),
        Base::Fault => "far".into(),
    };
    let write_back = access.address.write_back;
    let offset = match access.address.offset {
        Offset::Immediate(0) if write_back == WriteBack::None => String::new(),
        Offset::Immediate(offset) => format!("{offset:+}"),
        Offset::Register { register, .. } if write_back == WriteBack::After => {
            format!("+x{register}")
        }
        Offset::Register {
            register,
            extend,
            shift,
        } => {
            let extend = match extend {
                Extend::Uxtw => "uxtw",
                Extend::Sxtw => "sxtw",
                Extend::Uxtx => "lsl",
                Extend::Sxtx => "sxtx",
            };
            format!("+{register}{extend}{shift}")
        }
    };
    match write_back {
        WriteBack::None => format!("[{base}{offset}]"),
        WriteBack::Before => format!("[{base}{offset}]!"),
        WriteBack::After => format!("[{base}]{offset}"),
    }
}
