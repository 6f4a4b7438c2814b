//! Where each tensor lies in the flat buffers of the model. Knows shapes and names, no values.

use families::ParameterSpec;

/// Tensors begin at multiples of this many elements: 64 bytes of `f32`, so that libtorch's kernels find every tensor
/// aligned alike in every process.
const ALIGNMENT: usize = 16;

/// All tensors in one buffer of `len` elements. What lies between them is 0 and stays 0.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub slots: Vec<Slot>,
    pub leaves: Vec<Leaf>,
    /// N: elements of the buffer.
    pub len: usize,
}

/// The place of one named tensor.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub spec: ParameterSpec,
    pub start: usize,
}

/// What autograd sees as one tensor: a named tensor, and those that are stacked on it.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub name: String,
    pub shape: Vec<i64>,
    pub start: usize,
    pub trained: bool,
}

/// Consecutive elements with the same weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: usize,
    pub len: usize,
    pub decay: bool,
}

impl Slot {
    /// The tensor's bytes in a buffer of `f32`.
    pub fn bytes(&self) -> std::ops::Range<usize> {
        self.start * size_of::<f32>()..(self.start + self.spec.len()) * size_of::<f32>()
    }
}

impl Layout {
    /// Lays the tensors out in the order given.
    pub fn new(specs: Vec<ParameterSpec>) -> Self {
        let (mut slots, mut leaves, mut len) = (Vec::with_capacity(specs.len()), Vec::<Leaf>::new(), 0usize);
        for spec in specs {
            match leaves.last_mut().filter(|_| spec.stacked) {
                Some(leaf) => leaf.shape[0] += spec.shape[0] as i64,
                None => {
                    len = len.next_multiple_of(ALIGNMENT);
                    let shape = spec.shape.iter().map(|&extent| extent as i64).collect();
                    leaves.push(Leaf { name: spec.name.clone(), shape, start: len, trained: spec.trained });
                }
            }
            let start = len;
            len += spec.len();
            slots.push(Slot { spec, start });
        }
        Layout { slots, leaves, len: len.next_multiple_of(ALIGNMENT) }
    }

    /// The buffer without its frozen tensors, cut where the weight decay changes.
    pub fn spans(&self, exempt: bool) -> Vec<Span> {
        let mut spans = Vec::<Span>::new();
        // What lies between tensors goes with the tensor before it: zeros, which every update leaves zeros.
        let ends = self.slots.iter().skip(1).map(|slot| slot.start).chain([self.len]);
        for (slot, end) in self.slots.iter().zip(ends).filter(|(slot, _)| slot.spec.trained) {
            let decay = slot.spec.decay || !exempt;
            match spans.last_mut().filter(|last| last.decay == decay && last.start + last.len == slot.start) {
                Some(last) => last.len = end - last.start,
                None => spans.push(Span { start: slot.start, len: end - slot.start, decay }),
            }
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use families::Init;

    #[test]
    fn tensors_are_aligned_and_stacked_ones_adjoin() {
        let layout = Layout::new(vec![
            ParameterSpec::weight("a", &[3, 5], Init::Zeros),
            ParameterSpec::weight("q", &[2, 5], Init::Zeros),
            ParameterSpec::weight("k", &[4, 5], Init::Zeros).stacked(),
            ParameterSpec::vector("b", 3, Init::Zeros),
        ]);
        let frozen = Layout::new(vec![
            ParameterSpec::vector("a", 3, Init::Zeros),
            ParameterSpec::vector("f", 5, Init::Zeros).frozen(),
            ParameterSpec::vector("b", 3, Init::Zeros),
        ]);
        let ends = [Span { start: 0, len: 16, decay: true }, Span { start: 32, len: 16, decay: true }];
        assert_eq!(frozen.spans(false), ends);
        assert_eq!(layout.slots.iter().map(|slot| slot.start).collect::<Vec<_>>(), [0, 16, 26, 48]);
        let leaves: Vec<_> =
            layout.leaves.iter().map(|leaf| (leaf.name.as_str(), leaf.shape.clone())).collect();
        assert_eq!(leaves, [("a", vec![3, 5]), ("q", vec![6, 5]), ("b", vec![3])]);
        assert_eq!(layout.len, 64);
        assert_eq!(layout.spans(false), [Span { start: 0, len: 64, decay: true }]);
        let decayed = Span { start: 0, len: 48, decay: true };
        assert_eq!(layout.spans(true), [decayed, Span { start: 48, len: 16, decay: false }]);
    }
}
