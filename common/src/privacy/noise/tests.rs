use super::*;
use crate::rng::stream;
#[test]
fn smoke() {
    for s in [64u64, 65, 100, 200, 511, 655, 1024, 4096, 65536, 1 << 30, 1<<40] {
        let c = crate::clock::Stopwatch::start();
        let f = FastGaussian::new(s).expect("");
        let t = c.secs();
        let mut rng = stream(1, "a");
        let mut out = vec![0i64; 1 << 20];
        f.fill(&mut out, &mut rng);
        let c = crate::clock::Stopwatch::start();
        f.fill(&mut out, &mut rng);
        let rate = out.len() as f64 / c.secs() / 1e6;
        let n = out.len() as f64;
        let m = |p| out.iter().map(|x| (*x as f64 / s as f64).powi(p)).sum::<f64>() / n;
        eprintln!("{s}: build {:.0} us, {rate:.0} M/s; {} {} {}", t*1e6, m(1), m(2), m(4));
    }
}
