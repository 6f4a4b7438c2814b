//! What every collective must do, run against every implementation. The suite knows the trait only; a transport adds a
//! function that makes the members of a world, each on a thread of its own.

use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use collective::{Aborter, Collective, Error, Gloo, Local, MemoryStore};
use tch::{Device, Kind, Tensor};

/// Connects one member: (store of this world, rank, world).
type Connect = fn(Arc<MemoryStore>, usize, usize) -> Box<dyn Collective>;

fn local(_: Arc<MemoryStore>, rank: usize, world: usize) -> Box<dyn Collective> {
    assert_eq!((rank, world), (0, 1));
    Box::new(Local::new())
}

fn gloo(store: Arc<MemoryStore>, rank: usize, world: usize) -> Box<dyn Collective> {
    Box::new(Gloo::connect(store, rank, world, "127.0.0.1", Duration::from_secs(30)).expect("connects"))
}

/// Runs `member` on every rank of a world, and returns what each said.
fn world<T: Send>(connect: Connect, size: usize, member: impl Fn(Box<dyn Collective>) -> T + Sync) -> Vec<T> {
    let store = Arc::new(MemoryStore::new());
    thread::scope(|scope| {
        let member = &member;
        let ranks: Vec<_> = (0..size)
            .map(|rank| {
                let store = store.clone();
                scope.spawn(move || member(connect(store, rank, size)))
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().expect("a rank panicked")).collect()
    })
}

/// Different on every rank and at every index, all over the range: a sum of floats would lose bits.
fn i64_values(rank: usize, n: usize) -> Vec<i64> {
    let factor = 0x9E37_79B9_7F4A_7C15_u64 as i64;
    (0..n as i64).map(|i| (i * 16 + rank as i64 + 1).wrapping_mul(factor)).collect()
}

fn tells_rank_and_world(connect: Connect, size: usize) {
    let ranks = world(connect, size, |member| {
        assert_eq!(member.world(), size);
        // Not before all are there: a rank that leaves while others still connect is lost to them.
        member.all_reduce_sum(&Tensor::ones([1], (Kind::Int64, Device::Cpu))).expect("sums");
        member.rank()
    });
    assert_eq!(ranks, (0..size).collect::<Vec<_>>());
}

/// One call after the other, of very different sizes, and the empty one.
fn sums_i64_exactly(connect: Connect, size: usize) {
    world(connect, size, |member| {
        for n in [1, 3, 1000, 0, 300_001, 2] {
            let mut expected = vec![0i64; n];
            for rank in 0..size {
                let values = i64_values(rank, n);
                expected.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.wrapping_add(value));
            }
            let tensor = Tensor::from_slice(&i64_values(member.rank(), n));
            member.all_reduce_sum(&tensor).expect("sums");
            assert_eq!(Vec::<i64>::try_from(&tensor).expect("is i64"), expected, "n = {n}");
        }
    });
}

fn sums_floats(connect: Connect, size: usize) {
    for kind in [Kind::Float, Kind::Double, Kind::BFloat16] {
        world(connect, size, |member| {
            let tensor = Tensor::full([5, 7], member.rank() as f64 + 0.5, (kind, Device::Cpu));
            member.all_reduce_sum(&tensor).expect("sums");
            let expected = (0..size).map(|rank| rank as f64 + 0.5).sum::<f64>();
            assert!(tensor.eq(expected).all().int64_value(&[]) != 0, "{kind:?}: {tensor:?}");
        });
    }
}

fn broadcasts_from_every_root(connect: Connect, size: usize) {
    world(connect, size, |member| {
        for root in 0..size {
            for kind in [Kind::Int64, Kind::Float, Kind::Uint8] {
                let tensor = Tensor::full([1001], member.rank() as i64 + 1, (kind, Device::Cpu));
                member.broadcast(&tensor, root).expect("broadcasts");
                assert!(tensor.eq(root as i64 + 1).all().int64_value(&[]) != 0, "{kind:?} from {root}");
            }
        }
    });
}

/// A bad argument is refused on the spot, on the rank that gave it, and does not spoil the collective.
fn refuses_bad_arguments(connect: Connect, size: usize) {
    world(connect, size, |member| {
        let refused =
            |result: Result<(), Error>| assert!(matches!(result, Err(Error::Torch(_))), "{result:?}");
        let good = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
        refused(member.all_reduce_sum(&good.transpose(0, 1).slice(0, 0, 2, 1)));
        refused(member.all_reduce_sum(&Tensor::ones([4], (Kind::Bool, Device::Cpu))));
        refused(member.all_reduce_sum(&Tensor::new()));
        refused(member.broadcast(&good, size));
        member.all_reduce_sum(&good).expect("still works");
    });
}

/// An abort ends a call that is blocked, and every one after it; the peers hear of it as well.
fn abort_ends_a_blocked_call(connect: Connect, size: usize) {
    let elapsed = world(connect, size, |member| {
        let tensor = Tensor::ones([100_000], (Kind::Float, Device::Cpu));
        member.all_reduce_sum(&tensor).expect("works before");
        if member.rank() != 0 {
            return join_late(&*member, &tensor);
        }
        let aborter = member.aborter();
        let abort = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            aborter.abort();
            Instant::now()
        });
        if size == 1 {
            abort.join().expect("aborts");
            assert_eq!(member.all_reduce_sum(&tensor), Err(Error::Aborted));
            return Duration::ZERO;
        }
        assert_eq!(member.all_reduce_sum(&tensor), Err(Error::Aborted));
        let elapsed = abort.join().expect("aborts").elapsed();
        assert_eq!(member.all_reduce_sum(&tensor), Err(Error::Aborted));
        assert_eq!(member.broadcast(&tensor, 0), Err(Error::Aborted));
        elapsed
    });
    assert!(elapsed.iter().all(|&elapsed| elapsed < Duration::from_secs(1)), "{elapsed:?}");
}

/// The last rank keeps the others waiting; all of them must fail without waiting for their timeouts.
fn join_late(member: &dyn Collective, tensor: &Tensor) -> Duration {
    if member.rank() == member.world() - 1 {
        thread::sleep(Duration::from_millis(400));
    }
    let start = Instant::now();
    let result = member.all_reduce_sum(tensor);
    assert!(matches!(result, Err(Error::PeerLost(_))), "{result:?}");
    start.elapsed().saturating_sub(Duration::from_millis(200))
}

fn a_dropped_member_is_noticed(connect: Connect, size: usize) {
    for gone in 0..size {
        // Nobody gives up its group before all have noticed: one failure must reach those not connected to the cause.
        let noticed = Barrier::new(size - 1);
        let elapsed = world(connect, size, |member| {
            let tensor = Tensor::ones([100_000], (Kind::Int64, Device::Cpu));
            member.all_reduce_sum(&tensor).expect("works before");
            if member.rank() == gone {
                thread::sleep(Duration::from_millis(100));
                drop(member);
                return Duration::ZERO;
            }
            let start = Instant::now();
            let result = member.all_reduce_sum(&tensor);
            let elapsed = start.elapsed();
            noticed.wait();
            assert!(matches!(result, Err(Error::PeerLost(_))), "{result:?}");
            // And it does not come back to life.
            assert!(member.all_reduce_sum(&tensor).is_err());
            elapsed
        });
        assert!(elapsed.iter().all(|&elapsed| elapsed < Duration::from_secs(3)), "{elapsed:?}");
    }
}

fn contract(connect: Connect, size: usize) {
    tells_rank_and_world(connect, size);
    sums_i64_exactly(connect, size);
    sums_floats(connect, size);
    broadcasts_from_every_root(connect, size);
    refuses_bad_arguments(connect, size);
    abort_ends_a_blocked_call(connect, size);
    if size > 1 {
        a_dropped_member_is_noticed(connect, size);
    }
}

#[test]
fn local_alone() {
    contract(local, 1);
}

#[test]
fn gloo_alone() {
    contract(gloo, 1);
}

#[test]
fn gloo_pair() {
    contract(gloo, 2);
}

#[test]
fn gloo_five() {
    contract(gloo, 5);
}

#[test]
fn a_rank_that_never_comes_is_a_lost_peer() {
    let start = Instant::now();
    let result = Gloo::connect(Arc::new(MemoryStore::new()), 0, 2, "127.0.0.1", Duration::from_millis(500));
    assert!(matches!(result, Err(Error::PeerLost(_))), "{result:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn connecting_can_be_aborted() {
    let aborter = Aborter::new();
    let (sender, receiver) = mpsc::channel();
    let waiting = aborter.clone();
    thread::spawn(move || {
        let store = Arc::new(MemoryStore::new());
        let result = Gloo::connect_with(store, 1, 2, "127.0.0.1", Duration::from_secs(20), &waiting);
        sender.send(result.map(drop)).expect("somebody listens");
    });
    thread::sleep(Duration::from_millis(200));
    aborter.abort();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(1)), Ok(Err(Error::Aborted)));
    // An abort is for good.
    let late =
        Gloo::connect_with(Arc::new(MemoryStore::new()), 0, 1, "127.0.0.1", Duration::from_secs(1), &aborter);
    assert!(matches!(late, Err(Error::Aborted)), "{late:?}");
}

#[test]
fn bad_connection_arguments_are_refused() {
    let connect = |rank, world, address, timeout| {
        Gloo::connect(Arc::new(MemoryStore::new()), rank, world, address, timeout)
    };
    let second = Duration::from_secs(1);
    for result in [
        connect(2, 2, "127.0.0.1", second),
        connect(0, 0, "127.0.0.1", second),
        connect(0, 1, "127.0.0.1", Duration::ZERO),
        connect(0, 1, "no\0name", second),
        connect(0, 1, "192.0.2.1", second),
    ] {
        assert!(matches!(result, Err(Error::Torch(_))), "{result:?}");
    }
}

/// The survivors of a generation form the next one in the same process, over and over.
#[test]
fn groups_can_be_formed_again() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let mut before = 0;
    for generation in 0..10 {
        tells_rank_and_world(gloo, 3);
        if generation == 2 {
            before = threads();
        }
    }
    // Other tests of this process run at the same time; a leak would be three threads and more per generation.
    assert!(threads() < before + 100, "{before} threads became {}", threads());
}

/// Gloo forgets whoever waits for a send that its device thread has just taken up when the connection breaks. Where that
/// is cannot be aimed at, so the connection breaks at many moments.
#[test]
fn a_peer_that_goes_at_any_moment_holds_nobody_up() {
    const ROUNDS: u32 = 80;
    for round in 0..ROUNDS {
        let store = Arc::new(MemoryStore::new());
        let aborters = [Aborter::new(), Aborter::new()];
        let (done, ended) = mpsc::channel();
        for (rank, aborter) in aborters.iter().enumerate() {
            let (store, aborter, done) = (store.clone(), aborter.clone(), done.clone());
            thread::spawn(move || {
                let limit = Duration::from_secs(600);
                let member = Gloo::connect_with(store, rank, 2, "127.0.0.1", limit, &aborter);
                let tensor = Tensor::ones([1 << 18], (Kind::Float, Device::Cpu));
                while let Ok(member) = &member
                    && member.broadcast(&tensor, 0).is_ok()
                {}
                let _ = done.send(rank);
            });
        }
        thread::sleep(Duration::from_micros(5_000 + 97 * u64::from(round)));
        // One goes; the other is told that it is gone.
        aborters[1].abort();
        thread::sleep(Duration::from_millis(2));
        aborters[0].abort();
        for _ in 0..2 {
            ended.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("round {round} hangs"));
        }
    }
}
