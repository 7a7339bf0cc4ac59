//! What the machine does at best: the measures that the other figures are held against.

use std::hint::black_box;

use ndarray::Array2;
use rand::Rng;
use souk_common::clock::Stopwatch;
use souk_common::numeric::kernels::{is_fast, peak};
use souk_common::numeric::product;
use souk_common::rng::stream;
use souk_common::terminal::tell;

use super::row::Row;

/// One core's limits, and the matrix products measured beside them.
pub(super) struct Machine {
    clock_hz: f64,
    fma_flops: f64,
    products: Vec<(String, f64)>,
    is_fast: bool,
}

impl Machine {
    /// Measures for a second or so.
    pub(super) fn measure(short: bool) -> Self {
        let is_fast = is_fast();
        if !is_fast {
            tell(
                "this processor has no AVX2 and FMA: the plain loops are measured, and no share of the peak is asked for",
            );
        }
        let runs = if short { 50 } else { 200 };
        let products = SHAPES.map(|shape| {
            let [rows, inner, columns] = shape;
            (
                format!("product_{rows}x{inner}x{columns}"),
                product_flops(shape, runs),
            )
        });
        let (mut clock_hz, mut fma_flops) = (0f64, 0f64);
        for _ in 0..ALTERNATIONS {
            // In turns: a core changes its clock with what it and its neighbours do.
            clock_hz = clock_hz.max(peak::clock_hz());
            fma_flops = fma_flops.max(peak::fma_flops_per_second());
        }
        Self {
            clock_hz,
            fma_flops,
            products: products.into(),
            is_fast,
        }
    }

    /// Floating-point operations a second of one core.
    pub(super) fn fma_flops(&self) -> f64 {
        self.fma_flops
    }

    /// Whether the peak is the machine's, not that of a plain loop.
    pub(super) fn is_fast(&self) -> bool {
        self.is_fast
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let fastest = self.products.iter().map(|(_, flops)| *flops).fold(0.0, f64::max);
        let per_tick = self.fma_flops / self.clock_hz;
        let mut peak = Row::new("fma_peak", self.fma_flops, "FLOP/s")
            .with("flop_per_tick", per_tick)
            .with("avx2", self.is_fast);
        if self.is_fast {
            peak = peak
                .bound(self.fma_flops > fastest, "above every matrix product")
                .bound(
                    per_tick > LEAST_PER_TICK,
                    "above 24 FLOP a tick of the core's clock",
                );
        }
        let mut rows = vec![Row::new("core_clock", self.clock_hz, "Hz"), peak];
        rows.extend(self.products.iter().map(|(name, flops)| {
            Row::new(name.as_str(), *flops, "FLOP/s").ratio(flops / self.fma_flops, "fma_peak")
        }));
        rows
    }
}

/// The largest rate of several runs: a run that another process cut into is not the fastest. `work` says how much it did.
pub(super) fn fastest(runs: usize, mut work: impl FnMut() -> f64) -> f64 {
    (0..runs)
        .map(|_| {
            let watch = Stopwatch::start();
            let done = work();
            done / watch.secs()
        })
        .fold(0.0, f64::max)
}

/// Bytes a second, read and written both counted, of copying `bytes` bytes from one place to another.
pub(super) fn copy_bytes_per_second(bytes: usize, runs: usize) -> f64 {
    let (from, mut to) = (vec![1u8; bytes], vec![0u8; bytes]);
    fastest(runs, || {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        2.0 * bytes as f64
    })
}

/// Bytes a second of the generator that noise comes from.
pub(super) fn keystream_bytes_per_second(runs: usize) -> f64 {
    let (mut rng, mut bytes) = (stream(1, "bench"), vec![0u8; 1 << 20]);
    fastest(runs, || {
        rng.fill_bytes(black_box(&mut bytes));
        bytes.len() as f64
    })
}

fn product_flops([rows, inner, columns]: [usize; 3], runs: usize) -> f64 {
    let (a, b) = (
        Array2::<f32>::ones((rows, inner)),
        Array2::<f32>::ones((inner, columns)),
    );
    let mut c = Array2::<f32>::zeros((rows, columns));
    // So many that a run takes about a tenth of a millisecond or more.
    let repeats = (4_000_000 / (rows * inner * columns)).max(1);
    fastest(runs, || {
        for _ in 0..repeats {
            product(1.0, black_box(a.view()), b.view(), 0.0, c.view_mut());
            black_box(&mut c);
        }
        (repeats * 2 * rows * inner * columns) as f64
    })
}

/// The tower's three, and a square one that is no one's excuse.
const SHAPES: [[usize; 3]; 4] = [[1024, 64, 32], [1024, 32, 16], [1024, 16, 8], [256, 256, 256]];
const ALTERNATIONS: usize = 4;
/// One fused multiply-add of eight lanes a tick is 16, two are 32: less than 24 measures something else.
const LEAST_PER_TICK: f64 = 24.0;
