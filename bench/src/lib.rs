//! Load generator and figures: publishers and viewers against Oxbow or any WHIP/WHEP server.
//!
//! A case per file under `case/`; everything else is what cases are made of. Tests of other crates borrow [`peer`], [`track`] and [`wire`].

pub mod audience;
pub mod case;
pub mod figures;
pub mod floor;
pub mod framed;
pub mod peer;
pub mod probe;
pub mod process;
pub mod relay;
pub mod server;
pub mod show;
pub mod stream;
pub mod target;
pub mod trace;
pub mod track;
pub mod viewer;
pub mod whip;
pub mod wire;
