//! AVX2 and FMA: a register tile of 6 x 16 (12 x 8 for narrow results) without packing of `a`.
//!
//! The matrices of one user are a few dozen columns wide and live in L1 or L2, where blocking and packing cost more than
//! they save. `a` is read one number at a time (broadcast), so its strides don't matter; `b` and `c` are read by rows.

use std::arch::x86_64::{
    __m256, __m256i, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehl_ps, _mm_shuffle_ps,
    _mm256_broadcast_ss, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_mul_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps,
};

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

/// `c = alpha a b + beta c`. The caller has made sure of AVX2 and FMA.
pub(super) fn product(
    alpha: f32,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    beta: f32,
    mut c: ArrayViewMut2<'_, f32>,
) {
    let (rows, inner) = a.dim();
    let columns = b.ncols();
    assert_eq!(
        (inner, (rows, columns)),
        (b.nrows(), c.dim()),
        "shapes of a product"
    );
    if rows == 0 || columns == 0 {
        return;
    }
    if columns == 1 && inner > 0 && a.strides()[1] == 1 && b.strides()[0] == 1 {
        return matrix_vector(alpha, &a, &b, beta, &mut c);
    }
    if c.strides()[1] != 1 {
        if c.strides()[0] == 1 {
            return product(
                alpha,
                b.reversed_axes(),
                a.reversed_axes(),
                beta,
                c.reversed_axes(),
            );
        }
        return general_mat_mul(alpha, &a, &b, beta, &mut c);
    }
    let packed: Array2<f32>;
    let b = if b.strides()[1] == 1 {
        b
    } else {
        packed = by_rows(&b);
        packed.view()
    };
    let product = Product {
        inner,
        a: a.as_ptr(),
        a_strides: (a.strides()[0], a.strides()[1]),
        b: b.as_ptr(),
        b_stride: b.strides()[0],
        c: c.as_mut_ptr(),
        c_stride: c.strides()[0],
        alpha,
        beta,
    };
    // Safety: the processor has AVX2 and FMA; the pointers and strides are those of views of these shapes, `b` and `c`
    // have unit column stride, and `c` overlaps nothing, being a mutable view.
    unsafe { product.run(rows, columns) };
}

/// A row-major copy: the weights of a layer, transposed.
fn by_rows(b: &ArrayView2<'_, f32>) -> Array2<f32> {
    let mut packed = Array2::zeros(b.dim());
    for (source, mut target) in b.columns().into_iter().zip(packed.columns_mut()) {
        target.assign(&source);
    }
    packed
}

fn matrix_vector(
    alpha: f32,
    a: &ArrayView2<'_, f32>,
    b: &ArrayView2<'_, f32>,
    beta: f32,
    c: &mut ArrayViewMut2<'_, f32>,
) {
    let vector = b.column(0);
    let vector = vector.as_slice().expect("the caller has checked its stride");
    for (row, out) in a.rows().into_iter().zip(c.iter_mut()) {
        let row = row.as_slice().expect("the caller has checked its stride");
        // Safety: the caller of `product` has made sure of AVX2 and FMA.
        let sum = alpha * unsafe { dot(row, vector) };
        *out = if beta == 0.0 { sum } else { sum + beta * *out };
    }
}

/// One product: pointers to the first elements and distances between rows, in elements.
#[derive(Clone, Copy)]
struct Product {
    inner: usize,
    a: *const f32,
    a_strides: (isize, isize),
    b: *const f32,
    b_stride: isize,
    c: *mut f32,
    c_stride: isize,
    alpha: f32,
    beta: f32,
}

impl Product {
    /// Safety: AVX2 and FMA; the fields describe matrices of these shapes.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run(&self, rows: usize, columns: usize) {
        let mut column = 0;
        // Safety, here and below: every tile lies within the shapes that the caller vouches for.
        unsafe {
            while columns - column >= 16 {
                self.strip::<2, false>(rows, column, 0);
                column += 16;
            }
            if columns - column >= 8 {
                self.strip::<1, false>(rows, column, 0);
                column += 8;
            }
            if columns > column {
                self.strip::<1, true>(rows, column, columns - column);
            }
        }
    }

    /// All rows of `8 V` columns (`tail` columns when masked) from `column` on.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn strip<const V: usize, const MASKED: bool>(&self, rows: usize, column: usize, tail: usize) {
        let mut row = 0;
        // Safety: see `run`.
        unsafe {
            if V == 1 {
                while rows - row >= 12 {
                    self.tile::<12, V, MASKED>(row, column, tail);
                    row += 12;
                }
            }
            while rows - row >= 6 {
                self.tile::<6, V, MASKED>(row, column, tail);
                row += 6;
            }
            match rows - row {
                1 => self.tile::<1, V, MASKED>(row, column, tail),
                2 => self.tile::<2, V, MASKED>(row, column, tail),
                3 => self.tile::<3, V, MASKED>(row, column, tail),
                4 => self.tile::<4, V, MASKED>(row, column, tail),
                5 => self.tile::<5, V, MASKED>(row, column, tail),
                _ => {}
            }
        }
    }

    /// `R` rows of `8 V` columns, summed in registers.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const R: usize, const V: usize, const MASKED: bool>(
        &self,
        row: usize,
        column: usize,
        tail: usize,
    ) {
        let mask = mask(tail);
        let mut sums = [[_mm256_setzero_ps(); V]; R];
        // Safety: see `run`; masked lanes are neither read nor written.
        unsafe {
            let mut a = self.a.offset(row as isize * self.a_strides.0);
            let mut b = self.b.add(column);
            for _ in 0..self.inner {
                let mut values = [_mm256_setzero_ps(); V];
                for (v, value) in values.iter_mut().enumerate() {
                    *value = load::<MASKED>(b.wrapping_add(8 * v), mask);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let scale = _mm256_broadcast_ss(&*a.wrapping_offset(r as isize * self.a_strides.0));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = _mm256_fmadd_ps(scale, value, *sum);
                    }
                }
                a = a.wrapping_offset(self.a_strides.1);
                b = b.wrapping_offset(self.b_stride);
            }
            let (alpha, beta) = (_mm256_set1_ps(self.alpha), _mm256_set1_ps(self.beta));
            for (r, sums) in sums.into_iter().enumerate() {
                let out = self.c.offset((row + r) as isize * self.c_stride).add(column);
                for (v, sum) in sums.into_iter().enumerate() {
                    let out = out.add(8 * v);
                    let mut value = _mm256_mul_ps(alpha, sum);
                    if self.beta != 0.0 {
                        value = _mm256_fmadd_ps(beta, load::<MASKED>(out, mask), value);
                    }
                    if MASKED {
                        _mm256_maskstore_ps(out, mask, value);
                    } else {
                        _mm256_storeu_ps(out, value);
                    }
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load<const MASKED: bool>(from: *const f32, mask: __m256i) -> __m256 {
    // Safety: the caller vouches for eight numbers, or for those that the mask names.
    unsafe {
        if MASKED {
            _mm256_maskload_ps(from, mask)
        } else {
            _mm256_loadu_ps(from)
        }
    }
}

/// The first `count` of eight lanes.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn mask(count: usize) -> __m256i {
    const WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    let window = &WINDOW[8 - count.min(8)..][..8];
    // Safety: eight numbers from `window`.
    unsafe { _mm256_loadu_si256(window.as_ptr().cast()) }
}

/// Sum of products over the shorter of the two.
///
/// Safety: AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_tail) = a.as_chunks::<8>();
    let (b_chunks, b_tail) = b[..b.len().min(a.len())].as_chunks::<8>();
    let mut sums = [_mm256_setzero_ps(); 4];
    for (at, (x, y)) in a_chunks.iter().zip(b_chunks).enumerate() {
        // Safety: eight numbers each.
        let (x, y) = unsafe { (_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(y.as_ptr())) };
        sums[at % 4] = _mm256_fmadd_ps(x, y, sums[at % 4]);
    }
    let one = _mm256_set1_ps(1.0);
    let sum = _mm256_fmadd_ps(sums[0], one, sums[1]);
    let sum = _mm256_fmadd_ps(_mm256_fmadd_ps(sums[2], one, sums[3]), one, sum);
    let half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
    let half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    let total = _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps::<1>(half, half)));
    a_tail.iter().zip(b_tail).fold(total, |sum, (x, y)| sum + x * y)
}

/// `y += scale x` over the shorter of the two.
///
/// Safety: AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) fn add_scaled(scale: f32, x: &[f32], y: &mut [f32]) {
    let length = x.len().min(y.len());
    let (x_chunks, x_tail) = x[..length].as_chunks::<8>();
    let (y_chunks, y_tail) = y[..length].as_chunks_mut::<8>();
    let scales = _mm256_set1_ps(scale);
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        // Safety: eight numbers each.
        unsafe {
            let sum = _mm256_fmadd_ps(scales, _mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(y.as_ptr()));
            _mm256_storeu_ps(y.as_mut_ptr(), sum);
        }
    }
    for (x, y) in x_tail.iter().zip(y_tail) {
        *y += scale * x;
    }
}
