//! Load generator and figures: publishers and viewers against Oxbow or any WHIP/WHEP server.
//!
//! A case per file under `case/`; everything else is what cases are made of. Tests of other crates borrow [`peer`], [`track`] and [`wire`].

pub mod case;
pub mod floor;
pub mod peer;
pub mod process;
pub mod relay;
pub mod server;
pub mod track;
pub mod whip;
pub mod wire;
