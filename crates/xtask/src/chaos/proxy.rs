//! A wire between workers and their coordinator that can be cut. Knows bytes only.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes connections on to a port of this machine.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Listens on a port of its own; whoever connects is connected to `to`, if somebody is there.
    pub fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let connections = open.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                if connect(near, far, &connections).is_err() {
                    return;
                }
            }
        });
        Ok(Proxy { port, open })
    }

    /// Cuts one of the open connections. Says whether there was one.
    pub fn cut(&self, mut pick: impl FnMut(usize) -> usize) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has closed has no peer any more.
        open.retain(|stream| stream.peer_addr().is_ok());
        if open.is_empty() {
            return false;
        }
        let victim = pick(open.len());
        let victim = open.swap_remove(victim);
        victim.shutdown(Shutdown::Both).is_ok()
    }
}

fn connect(near: TcpStream, far: TcpStream, open: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    open.lock().unwrap_or_else(PoisonError::into_inner).push(near.try_clone()?);
    for (mut from, mut to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            // One side is gone: so is the other.
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
    Ok(())
}
