use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Writes descriptors, so that what is read can be compared with what was meant.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn put(&mut self, value: u64, count: u32) {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    /// `ns(n)`.
    fn non_symmetric(&mut self, value: u32, n: u32) {
        let width = n.ilog2() + 1;
        let short = (1 << width) - n;
        if value < short {
            self.put(value.into(), width - 1);
        } else {
            self.put((value + short).into(), width);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at));
        self.0.chunks(8).map(byte).collect()
    }
}

#[derive(Clone, Debug)]
struct Template {
    layer: LayerId,
    indications: Vec<u8>,
    references: Vec<u8>,
    chains: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Structure {
    first_id: u8,
    targets: usize,
    chains: u32,
    templates: Vec<Template>,
    sizes: Vec<(u16, u16)>,
}

impl Structure {
    fn write(&self, to: &mut Writer) {
        to.put(self.first_id.into(), 6);
        to.put(self.targets as u64 - 1, 5);
        for (at, template) in self.templates.iter().enumerate() {
            let step = match self.templates.get(at + 1).map(|next| next.layer) {
                None => 3,
                Some(next) if next == template.layer => 0,
                Some(next) if next.spatial == template.layer.spatial => 1,
                Some(_) => 2,
            };
            to.put(step, 2);
        }
        for indication in self.templates.iter().flat_map(|template| &template.indications) {
            to.put((*indication).into(), 2);
        }
        for template in &self.templates {
            for reference in &template.references {
                to.put(16 | u64::from(*reference), 5);
            }
            to.put(0, 1);
        }
        to.non_symmetric(self.chains, self.targets as u32 + 1);
        if self.chains > 0 {
            for target in 0..self.targets as u32 {
                to.non_symmetric(target % self.chains, self.chains);
            }
            for chain in self.templates.iter().flat_map(|template| &template.chains) {
                to.put((*chain).into(), 4);
            }
        }
        to.put(u64::from(!self.sizes.is_empty()), 1);
        for (width, height) in &self.sizes {
            to.put(u64::from(*width) - 1, 16);
            to.put(u64::from(*height) - 1, 16);
        }
    }
}

/// Mandatory fields, then the flags if there are any.
fn head(first: bool, last: bool, template: u8, number: u16, flags: Option<u8>) -> Writer {
    let mut writer = Writer::default();
    writer.put(first.into(), 1);
    writer.put(last.into(), 1);
    writer.put(template.into(), 6);
    writer.put(number.into(), 16);
    if let Some(flags) = flags {
        writer.put(flags.into(), 5);
    }
    writer
}

const STRUCTURE: u8 = 0b10000;
const ACTIVE: u8 = 0b01000;

/// Two temporal layers, two decode targets, one chain, as browsers send "L1T2": a keyframe, then base and upper layer in turn.
fn two_rates(first_id: u8) -> Structure {
    let template = |temporal, indications: [u8; 2], references: &[u8], chain| Template {
        layer: LayerId { spatial: 0, temporal },
        indications: indications.to_vec(),
        references: references.to_vec(),
        chains: vec![chain],
    };
    Structure {
        first_id,
        targets: 2,
        chains: 1,
        templates: vec![template(0, [2, 2], &[], 0), template(0, [2, 2], &[1], 2), template(1, [0, 1], &[0], 1)],
        sizes: vec![(640, 360)],
    }
}

fn key(structure: &Structure, number: u16) -> Vec<u8> {
    let mut writer = head(true, true, structure.first_id, number, Some(STRUCTURE));
    structure.write(&mut writer);
    writer.bytes()
}

#[test]
fn layers_are_read_by_template() {
    let mut dependencies = Dependencies::default();
    let first = dependencies.read(&key(&two_rates(60), 100)).unwrap();
    assert!(first.first_packet && first.last_packet && first.with_structure);
    assert_eq!((first.number, first.layer, first.size), (100, LayerId::BASE, Some((640, 360))));
    assert_eq!(
        (first.active_targets, first.switch_up),
        (Some(0b11), SwitchUp::To(LayerId { spatial: 0, temporal: 1 }))
    );
    // Ids wrap at 64.
    let upper = dependencies.read(&head(true, false, 62, 101, None).bytes()).unwrap();
    assert_eq!(upper.layer, LayerId { spatial: 0, temporal: 1 });
    assert_eq!(
        (upper.indication(0), upper.indication(1)),
        (Some(Indication::NotPresent), Some(Indication::Discardable))
    );
    assert_eq!((upper.indication(2), upper.active_targets, upper.switch_up), (None, None, SwitchUp::No));
    assert!(upper.first_packet && !upper.last_packet && !upper.with_structure);
}

#[test]
fn a_frame_may_differ_from_its_template() {
    let mut dependencies = Dependencies::default();
    dependencies.read(&key(&two_rates(0), 100)).unwrap();
    // Custom indications: the upper layer becomes a switching point; custom references and chains are stepped over.
    let mut writer = head(true, true, 2, 103, Some(0b00111));
    writer.put(0b00_10, 4);
    writer.put(0b01_0011, 6);
    writer.put(0b11_000000000001, 14);
    writer.put(0, 2);
    writer.put(7, 8);
    let upper = dependencies.read(&writer.bytes()).unwrap();
    assert_eq!((upper.layer.temporal, upper.switch_up), (1, SwitchUp::To(LayerId { spatial: 0, temporal: 1 })));
    // The sender gives the upper layer up.
    let mut writer = head(true, true, 1, 104, Some(ACTIVE));
    writer.put(0b01, 2);
    assert_eq!(dependencies.read(&writer.bytes()).unwrap().active_targets, Some(0b01));
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut dependencies = Dependencies::default();
    let whole = key(&two_rates(0), 100);
    let later = head(true, true, 2, 101, None).bytes();
    assert_eq!(dependencies.read(&later), Err(Unreadable::NoStructure));
    for len in 0..whole.len() - 1 {
        let read = dependencies.read(&whole[..len]);
        assert!(matches!(read, Err(Unreadable::Truncated | Unreadable::NoStructure)), "{len} bytes: {read:?}");
    }
    dependencies.read(&whole).unwrap();
    assert_eq!(dependencies.read(&head(true, true, 3, 101, None).bytes()), Err(Unreadable::NoTemplate));
    assert_eq!(dependencies.read(&whole[..8]), Err(Unreadable::Truncated));
    assert!(dependencies.read(&later).is_ok());
}

#[test]
fn an_older_keyframe_that_comes_late_does_not_take_templates_back() {
    let mut dependencies = Dependencies::default();
    dependencies.read(&key(&two_rates(10), 5)).unwrap();
    let late = dependencies.read(&key(&two_rates(0), 65_530)).unwrap();
    assert!(late.with_structure);
    assert_eq!(dependencies.read(&head(true, true, 12, 6, None).bytes()).unwrap().layer.temporal, 1);
    assert_eq!(dependencies.read(&head(true, true, 2, 6, None).bytes()), Err(Unreadable::NoTemplate));
}

#[test]
fn layers_beyond_those_of_any_codec_are_refused() {
    let mut writer = head(true, true, 0, 1, Some(STRUCTURE));
    writer.put(0, 11);
    (0..8).for_each(|_| writer.put(1, 2));
    writer.put(0, 64);
    assert_eq!(Dependencies::default().read(&writer.bytes()), Err(Unreadable::Bounds), "temporal");
    let mut writer = head(true, true, 0, 1, Some(STRUCTURE));
    writer.put(0, 11);
    writer.put(0, 64);
    writer.put(0, 64);
    writer.put(0, 64);
    assert_eq!(Dependencies::default().read(&writer.bytes()), Err(Unreadable::Bounds), "templates");
}

fn structures() -> impl Strategy<Value = Structure> {
    let steps = vec(0u8..3, 0..12);
    let shape = (0u8..64, 1usize..=32, steps, any::<bool>(), any::<prop::sample::Index>());
    shape.prop_flat_map(|(first_id, targets, steps, with_sizes, chains)| {
        let mut layers = vec![LayerId::BASE];
        for step in steps {
            let LayerId { spatial, temporal } = layers[layers.len() - 1];
            match step {
                1 if temporal < 7 => layers.push(LayerId { spatial, temporal: temporal + 1 }),
                2 if spatial < 3 => layers.push(LayerId { spatial: spatial + 1, temporal: 0 }),
                _ => layers.push(LayerId { spatial, temporal }),
            }
        }
        let chains = chains.index(targets + 1);
        let rest = (vec(0u8..4, targets), vec(0u8..16, 0..4), vec(0u8..16, chains));
        let sizes = vec(
            (1..=u16::MAX, 1..=u16::MAX),
            if with_sizes { 1 + usize::from(layers[layers.len() - 1].spatial) } else { 0 },
        );
        (vec(rest, layers.len()), sizes).prop_map(move |(rest, sizes)| {
            let templates = layers.iter().zip(rest).map(|(layer, (indications, references, chains))| Template {
                layer: *layer,
                indications,
                references,
                chains,
            });
            Structure { first_id, targets, chains: chains as u32, templates: templates.collect(), sizes }
        })
    })
}

proptest! {
    /// Whatever a sender means by its templates is what is read of every packet that names one.
    #[test]
    fn what_was_written_is_read(structure in structures(), number: u16) {
        let mut dependencies = Dependencies::default();
        dependencies.read(&key(&structure, number)).unwrap();
        for (at, template) in structure.templates.iter().enumerate() {
            let id = (structure.first_id + at as u8) & 63;
            let frame = dependencies.read(&head(false, true, id, number.wrapping_add(1), None).bytes()).unwrap();
            prop_assert_eq!(frame.layer, template.layer);
            prop_assert_eq!(frame.size, structure.sizes.get(usize::from(template.layer.spatial)).copied());
            for (target, indication) in template.indications.iter().enumerate() {
                prop_assert_eq!(frame.indication(target as u8), Some(Indication::from_bits(u64::from(*indication))));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(descriptors in vec(vec(any::<u8>(), 0..40), 0..8), structure in structures(), cut: prop::sample::Index) {
        let mut dependencies = Dependencies::default();
        let whole = key(&structure, 9);
        let _ = dependencies.read(&whole[..cut.index(whole.len())]);
        for descriptor in descriptors {
            if let Ok(frame) = dependencies.read(&descriptor) {
                prop_assert!(frame.layer.spatial < 4 && frame.layer.temporal < 8);
                prop_assert!(frame.indication(0).is_some());
            }
        }
    }
}
