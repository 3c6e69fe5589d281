//! `oxbow check`: what the recorder finds when it compares the node's files and rows with the stores. Nothing is changed.

use std::process::ExitCode;

use storage::Local;

use crate::config::Config;
use crate::folder::DataDir;
use crate::serve::{database, objects};

/// Silent and successful when everything is whole; otherwise one line per disagreement.
pub async fn check(config: Config) -> ExitCode {
    match report(&config).await {
        Ok(report) => {
            print!("{report}");
            eprintln!(
                "{} journals, {} rows, {} clips, {} objects, {} access units: {} problems",
                report.journals,
                report.rows,
                report.clips,
                report.objects,
                report.units,
                report.problems.len()
            );
            if report.is_silent() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("Oxbow cannot check: {error}");
            ExitCode::from(2)
        }
    }
}

async fn report(config: &Config) -> Result<recorder::check::Report, Box<dyn std::error::Error>> {
    // A server that runs changes things while they are compared.
    let folder = DataDir::open(&config.data_dir)?;
    let local = Local::open(folder.path().join("local.db"))?;
    let objects = objects(config, folder.path())?;
    let database = database(config, folder.path());
    Ok(recorder::check::check(folder.path(), &objects, &database, &local).await?)
}
