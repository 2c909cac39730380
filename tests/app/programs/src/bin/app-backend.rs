//! The application's backend: keeps entries in the database that DATABASE_URL names.
//!
//! `GET /name` answers the host's name and the program's version, `GET /` that and every entry, `POST /entries` adds
//! the body as an entry. The first line of each answer is the name.
//! After SIGTERM it serves for 5 s more and closes each connection after its next answer, as nothing else tells clients
//! and proxies that it goes.
//!
//! Upstream: none
//! Left out: everything else.

use std::{
    convert::Infallible,
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use app_programs::mysql::{Connection, MysqlError, Url, quoted};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Bytes, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
};

const GOES_ON: Duration = Duration::from_secs(5);
const TABLE: &str = "create table if not exists entries (id int auto_increment primary key, text varchar(255))";

struct Backend {
    /// The host's name and the version of the image.
    name: String,
    database: Option<Url>,
    closing: AtomicBool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080").await.context("port 8080")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let version = env::var("APP_VERSION").unwrap_or_else(|_| "1".into());
    let backend = Arc::new(Backend {
        name: format!("{} {version}", hostname.trim()),
        database: env::var("DATABASE_URL").ok().as_deref().and_then(Url::parse),
        closing: AtomicBool::new(false),
    });
    println!("{} listens", backend.name);
    tokio::spawn(serve(listener, backend.clone()));
    terminate.recv().await;
    println!("{} closes", backend.name);
    backend.closing.store(true, Ordering::Relaxed);
    tokio::time::sleep(GOES_ON).await;
    Ok(())
}

async fn serve(listener: TcpListener, backend: Arc<Backend>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve_connection(stream, backend.clone()))),
            Err(error) => println!("can't accept: {error}"),
        }
    }
}

async fn serve_connection(stream: TcpStream, backend: Arc<Backend>) {
    let service = service_fn(|request| {
        let backend = backend.clone();
        async move { Ok::<_, Infallible>(backend.answer(request).await) }
    });
    // A client that goes away is no error of ours.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Backend {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let outcome = match (request.method(), path.as_str()) {
            (&Method::GET, "/name") => Ok(String::new()),
            (&Method::GET, "/") => self.entries().await,
            (&Method::POST, "/entries") => match request.into_body().collect().await {
                Ok(body) => self.add(&String::from_utf8_lossy(&body.to_bytes())).await,
                Err(error) => return self.respond(400, &error.to_string()),
            },
            _ => return self.respond(404, "there is /, /name and /entries\n"),
        };
        match outcome {
            Ok(text) => self.respond(200, &text),
            Err(error) => {
                println!("{error}");
                self.respond(503, &format!("{error}\n"))
            }
        }
    }

    fn respond(&self, status: u16, text: &str) -> Response<Full<Bytes>> {
        let mut response = Response::builder().status(status);
        if self.closing.load(Ordering::Relaxed) {
            response = response.header(header::CONNECTION, "close");
        }
        response.body(Full::from(format!("{}\n{text}", self.name))).expect("status and header are valid")
    }

    async fn entries(&self) -> Result<String, MysqlError> {
        let mut connection = self.connect().await?;
        let rows = connection.query("select text from entries order by id").await?;
        Ok(rows.into_iter().flatten().map(|text| text + "\n").collect())
    }

    async fn add(&self, text: &str) -> Result<String, MysqlError> {
        let mut connection = self.connect().await?;
        connection.query(&format!("insert into entries (text) values ({})", quoted(text))).await?;
        Ok("added\n".into())
    }

    async fn connect(&self) -> Result<Connection, MysqlError> {
        let url = self.database.as_ref().ok_or(MysqlError::Refused("DATABASE_URL names no database".into()))?;
        let mut connection = Connection::open(url).await?;
        connection.query(TABLE).await?;
        Ok(connection)
    }
}
