//! An Oxbow server process of the bench's own: built from this checkout, on free ports, with a throw-away data folder.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Url;

/// The key that the server is started with.
pub const KEY: &str = "bench-key-0123456789";
const START: Duration = Duration::from_secs(20);

pub struct Server {
    child: Child,
    data: PathBuf,
    base: Url,
}

impl Server {
    /// Builds the server in release mode (nothing to do when it is fresh) and starts it. It records nothing unless `settings`, names and
    /// values of its environment, say so.
    ///
    /// # Errors
    /// When it does not build, start or answer within 20 s.
    pub async fn start(client: &reqwest::Client, settings: &[(&str, &str)]) -> io::Result<Server> {
        let program = build()?;
        // The ports are free now; nobody else on a machine that measures takes them in between.
        let http = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let media = UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let data = std::env::temp_dir().join(format!("oxbow-bench-{}", std::process::id()));
        std::fs::create_dir_all(&data)?;
        let log = std::fs::File::create(data.join("log"))?;
        let child = Command::new(program)
            .arg("serve")
            .current_dir(&data)
            .env("ENVIRONMENT", "dev")
            .env("PORT", http.to_string())
            .env("PEER_HOST", "127.0.0.1")
            .env("PEER_PORT", media.to_string())
            .env("STREAM_KEY", KEY)
            .env("RECORD_STREAMS", "false")
            .env("DATA_DIR", &data)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let base = Url::parse(&format!("http://127.0.0.1:{http}/")).map_err(io::Error::other)?;
        let mut server = Server { child, data, base };
        server.wait(client).await?;
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An address below the server's root.
    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a relative path joins")
    }

    async fn wait(&mut self, client: &reqwest::Client) -> io::Result<()> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended with {status}:\n{}", self.log())));
            }
            match client.get(self.url("healthz")).send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Err(io::Error::other(format!("the server does not answer:\n{}", self.log())))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and a folder left in the temporary directory harms nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// The path of a fresh release build.
fn build() -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("bench lies in the workspace");
    let status = Command::new("cargo")
        // the workspace's one selection: another would build the libraries again, with other features
        .args(["build", "--quiet", "--release", "--workspace", "--bins"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the server does not build"));
    }
    // Cargo puts both programs into the same folder.
    let here = std::env::current_exe()?;
    let folder = here.parent().ok_or_else(|| io::Error::other("no folder around this program"))?;
    Ok(folder.join("oxbow"))
}
