//! Which layer of a track one viewer gets: one now, perhaps another from that one's next keyframe on. Why another is wanted does not belong
//! here.

/// Places of layers in their track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSelector {
    current: Option<usize>,
    target: Option<usize>,
}

impl LayerSelector {
    /// The layer whose packets go to the viewer; `None` before the first and in a pause.
    pub fn current(&self) -> Option<usize> {
        self.current
    }

    /// The layer that it shall get.
    pub fn target(&self) -> Option<usize> {
        self.target
    }

    pub fn aim(&mut self, target: usize) {
        self.target = Some(target);
    }

    /// Nothing goes to the viewer until another layer is aimed at.
    pub fn pause(&mut self) {
        *self = Self::default();
    }

    /// The layer to go over to as soon as it has a keyframe.
    pub fn wanted(&self) -> Option<usize> {
        self.target.filter(|target| self.current != Some(*target))
    }

    /// A keyframe of the target begins here. Answers the layer that is left, if there was one.
    pub fn switch(&mut self) -> Option<usize> {
        std::mem::replace(&mut self.current, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_waits_until_it_is_told() {
        let mut selector = LayerSelector::default();
        selector.aim(2);
        assert_eq!((selector.current(), selector.wanted()), (None, Some(2)));
        assert_eq!(selector.switch(), None);
        assert_eq!((selector.current(), selector.wanted()), (Some(2), None));
        selector.aim(0);
        assert_eq!((selector.current(), selector.wanted()), (Some(2), Some(0)));
        selector.aim(2);
        assert_eq!(selector.wanted(), None, "it changed its mind in time");
        selector.aim(0);
        assert_eq!(selector.switch(), Some(2));
        assert_eq!(selector.current(), Some(0));
        selector.pause();
        assert_eq!((selector.current(), selector.wanted()), (None, None));
    }
}
