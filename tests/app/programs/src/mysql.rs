//! As much of MySQL's protocol as it takes to log in with a password and run a statement.
//!
//! Upstream: MySQL's "Client/Server Protocol": HandshakeV10, mysql_native_password, COM_QUERY
//! Left out: TLS, compression, prepared statements, packets of 16 MiB and more, every other password scheme.

use std::{fmt, io};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
};

use crate::sha1::sha1;

const CLIENT_CONNECT_WITH_DB: u32 = 1 << 3;
const CLIENT_PROTOCOL_41: u32 = 1 << 9;
const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
const CLIENT_PLUGIN_AUTH: u32 = 1 << 19;
const COM_QUERY: u8 = 3;
const UTF8_MB4: u8 = 45;

/// Where the database is and who asks, from `mysql://USER:PASSWORD@HOST:PORT/DATABASE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub user: String,
    pub password: String,
    pub address: String,
    pub database: String,
}

impl Url {
    pub fn parse(text: &str) -> Option<Url> {
        let (login, place) = text.strip_prefix("mysql://")?.rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        let (address, database) = place.split_once('/')?;
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:3306") };
        Some(Url { user: user.into(), password: password.into(), address, database: database.into() })
    }
}

#[derive(Debug)]
pub enum MysqlError {
    /// The server can't be reached, or the connection broke.
    Connection(io::Error),
    /// The server refused, in its own words.
    Refused(String),
    /// What came is not what the protocol has there.
    Protocol(&'static str),
}

impl fmt::Display for MysqlError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            MysqlError::Connection(error) => write!(formatter, "the database can't be reached: {error}"),
            MysqlError::Refused(words) => write!(formatter, "the database refuses: {words}"),
            MysqlError::Protocol(what) => write!(formatter, "the database sent a bad {what}"),
        }
    }
}

impl std::error::Error for MysqlError {}

impl From<io::Error> for MysqlError {
    fn from(error: io::Error) -> Self {
        MysqlError::Connection(error)
    }
}

pub struct Connection {
    stream: BufStream<TcpStream>,
    sequence: u8,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As [`MysqlError`] has them.
    pub async fn open(url: &Url) -> Result<Connection, MysqlError> {
        let stream = TcpStream::connect(&url.address).await?;
        let mut connection = Connection { stream: BufStream::new(stream), sequence: 0 };
        let greeting = connection.read_packet().await?;
        let salt = salt(&greeting)?;
        connection.write_packet(&login(url, &salt)).await?;
        let mut answer = connection.read_packet().await?;
        // The server may ask for another scheme, or for the same with a new salt.
        if answer.first() == Some(&0xfe) {
            let request = answer.get(1..).unwrap_or_default();
            let end = request.iter().position(|byte| *byte == 0).ok_or(MysqlError::Protocol("request"))?;
            let salt = request.get(end + 1..end + 21).ok_or(MysqlError::Protocol("salt"))?;
            connection.write_packet(&scramble(&url.password, salt)).await?;
            answer = connection.read_packet().await?;
        }
        refused(&answer)?;
        Ok(connection)
    }

    /// Runs a statement and returns the rows of its answer, NULL as an empty text.
    ///
    /// # Errors
    /// As [`MysqlError`] has them.
    pub async fn query(&mut self, statement: &str) -> Result<Vec<Vec<String>>, MysqlError> {
        self.sequence = 0;
        self.write_packet(&[&[COM_QUERY], statement.as_bytes()].concat()).await?;
        let head = self.read_packet().await?;
        refused(&head)?;
        if head.first() == Some(&0) {
            return Ok(Vec::new());
        }
        let columns = Reader(&head).length().ok_or(MysqlError::Protocol("column count"))?;
        for _ in 0..columns {
            self.read_packet().await?;
        }
        self.read_packet().await?; // the mark between columns and rows
        let mut rows = Vec::new();
        loop {
            let packet = self.read_packet().await?;
            refused(&packet)?;
            if packet.first() == Some(&0xfe) && packet.len() < 9 {
                return Ok(rows);
            }
            let mut reader = Reader(&packet);
            let row: Option<Vec<String>> = (0..columns).map(|_| reader.text()).collect();
            rows.push(row.ok_or(MysqlError::Protocol("row"))?);
        }
    }

    async fn read_packet(&mut self) -> Result<Vec<u8>, MysqlError> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await?;
        self.sequence = header[3].wrapping_add(1);
        let mut packet = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    async fn write_packet(&mut self, packet: &[u8]) -> Result<(), MysqlError> {
        let length = u32::try_from(packet.len()).ok().filter(|length| *length < 1 << 24);
        let mut header = length.ok_or(MysqlError::Protocol("length"))?.to_le_bytes();
        header[3] = self.sequence;
        self.stream.write_all(&header).await?;
        self.stream.write_all(packet).await?;
        Ok(self.stream.flush().await?)
    }
}

/// A statement's text literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn refused(packet: &[u8]) -> Result<(), MysqlError> {
    match packet.first() {
        // Then a code of two bytes, '#' and a state of five, and the words.
        Some(0xff) => {
            let words = packet.get(9..).or(packet.get(3..)).unwrap_or_default();
            Err(MysqlError::Refused(String::from_utf8_lossy(words).into_owned()))
        }
        Some(_) => Ok(()),
        None => Err(MysqlError::Protocol("packet")),
    }
}

/// The 20 random bytes in the server's greeting that a password is mixed with.
fn salt(greeting: &[u8]) -> Result<Vec<u8>, MysqlError> {
    refused(greeting)?;
    let bad = || MysqlError::Protocol("greeting");
    let version_end = greeting.iter().position(|byte| *byte == 0).ok_or_else(bad)?;
    // Thread id 4; salt 8, filler 1; capabilities 2, character set 1, status 2, capabilities 2, length 1, reserved 10.
    let first = version_end + 1 + 4;
    let second = first + 8 + 1 + 18;
    let first = greeting.get(first..first + 8).ok_or_else(bad)?;
    let second = greeting.get(second..second + 12).ok_or_else(bad)?;
    Ok([first, second].concat())
}

fn login(url: &Url, salt: &[u8]) -> Vec<u8> {
    let capabilities = CLIENT_CONNECT_WITH_DB | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
    let scrambled = scramble(&url.password, salt);
    let mut packet = capabilities.to_le_bytes().to_vec();
    packet.extend_from_slice(&(1u32 << 24).to_le_bytes());
    packet.push(UTF8_MB4);
    packet.extend_from_slice(&[0; 23]);
    packet.extend_from_slice(url.user.as_bytes());
    packet.push(0);
    packet.push(u8::try_from(scrambled.len()).expect("a scramble has at most 20 bytes"));
    packet.extend_from_slice(&scrambled);
    packet.extend_from_slice(url.database.as_bytes());
    packet.push(0);
    packet.extend_from_slice(b"mysql_native_password\0");
    packet
}

/// SHA1(password) xor SHA1(salt, SHA1(SHA1(password))); nothing for an empty password.
fn scramble(password: &str, salt: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = sha1(password.as_bytes());
    let mask = sha1(&[salt, &sha1(&once)].concat());
    once.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// A length as the protocol encodes it; none for NULL and at the end.
    fn length(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let size = match first {
            0..=0xfa => return Some((*first).into()),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            _ => return None,
        };
        let (bytes, rest) = rest.split_at_checked(size)?;
        self.0 = rest;
        Some(bytes.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn text(&mut self) -> Option<String> {
        if self.0.first() == Some(&0xfb) {
            self.0 = &self.0[1..];
            return Some(String::new());
        }
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_user_password_place_and_database() {
        let url = Url::parse("mysql://root:rootpassword@database:3306/myapp").unwrap();
        assert_eq!((url.user.as_str(), url.password.as_str()), ("root", "rootpassword"));
        assert_eq!((url.address.as_str(), url.database.as_str()), ("database:3306", "myapp"));
        assert_eq!(Url::parse("mysql://a:b@c/d").unwrap().address, "c:3306");
        assert_eq!(Url::parse("postgres://a:b@c/d"), None);
    }

    #[test]
    fn texts_of_every_length_are_read() {
        let long = "x".repeat(300);
        let packet = [&[1, b'a', 0xfb, 0xfc, 44, 1], long.as_bytes()].concat();
        let mut reader = Reader(&packet);
        assert_eq!(reader.text().as_deref(), Some("a"));
        assert_eq!(reader.text().as_deref(), Some(""));
        assert_eq!(reader.text(), Some(long));
        assert_eq!(reader.text(), None);
    }

    #[test]
    fn a_text_cannot_leave_its_quotes() {
        assert_eq!(quoted(r"a'b\"), r"'a''b\\'");
    }
}
