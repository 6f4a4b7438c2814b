// Fused elementwise passes over plain memory. They know pointers and lengths; shapes were checked before.
//
// Every element is computed by the same IEEE operations in the same order, whether it falls into a vector body or a
// tail, and on whichever thread: no contraction (-ffp-contract=off), no fast-math, no reassociation.
#include "guard.h"
#include "layers.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

// Enough work for a thread to be worth waking: some 0.5 MB of memory traffic.
constexpr int64_t kGrain = 32768;
constexpr double kScale = 4503599627370496.0; // 2^52
constexpr float kLimit = 2048.0f;             // 2^11: |grad| * 2^52 must fit an int64

// acc += round(grad * 2^52), to nearest and ties to even, or acc = the same where nothing is there yet; returns whether
// any element was out of range and left out.
template <bool first, class T>
bool accumulate(int64_t* acc, const T* grad, int64_t n) {
  bool bad = false;
  for (int64_t i = 0; i < n; ++i) {
    const float g = cloze::load(grad[i]);
    const bool good = std::fabs(g) < kLimit; // false for NaN as well
    bad |= !good;
    // The product is exact, so llrint is the only rounding.
    const int64_t fixed = std::llrint(static_cast<double>(good ? g : 0.0f) * kScale);
    acc[i] = first ? fixed : static_cast<int64_t>(static_cast<uint64_t>(acc[i]) + static_cast<uint64_t>(fixed));
  }
  return bad;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512dq"))) inline __m256 load8(const float* from) {
  return _mm256_loadu_ps(from);
}

__attribute__((target("avx512f,avx512dq"))) inline __m256 load8(const uint16_t* from) {
  const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}

// The same, eight at a time: bound by memory, where the scalar loop takes three times as long. The conversion rounds
// like llrint does, by the same control register.
template <bool first, class T>
__attribute__((target("avx512f,avx512dq"))) bool accumulate_avx512(int64_t* acc, const T* grad, int64_t n) {
  const __m512d scale = _mm512_set1_pd(kScale);
  const __m512d limit = _mm512_set1_pd(kLimit);
  bool bad = false;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m512d g = _mm512_cvtps_pd(load8(grad + i));
    const __mmask8 good = _mm512_cmp_pd_mask(_mm512_abs_pd(g), limit, _CMP_LT_OQ);
    bad |= good != 0xFF;
    const __m512i fixed = _mm512_maskz_cvtpd_epi64(good, _mm512_mul_pd(g, scale));
    _mm512_storeu_si512(acc + i, first ? fixed : _mm512_add_epi64(_mm512_loadu_si512(acc + i), fixed));
  }
  return accumulate<first>(acc + i, grad + i, n - i) || bad;
}

template <bool first, class T>
const auto accumulate_best = __builtin_cpu_supports("avx512dq") ? accumulate_avx512<first, T> : accumulate<first, T>;
#else
template <bool first, class T>
const auto accumulate_best = accumulate<first, T>;
#endif

template <class T>
bool accumulate_on_all_threads(int64_t* acc, const T* grad, int64_t n, bool first) {
  const auto pass = first ? accumulate_best<true, T> : accumulate_best<false, T>;
  std::atomic<bool> any_bad{false};
  at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
    if (pass(acc + begin, grad + begin, end - begin)) {
      any_bad.store(true, std::memory_order_relaxed);
    }
  });
  return any_bad.load();
}

template <int32_t variant>
void adam(float* param, uint16_t* rounded, const float* grad, float* exp_avg, float* exp_avg_sq, int64_t n,
          const cloze_adam& args) {
  const cloze_adam a = args;
  for (int64_t i = 0; i < n; ++i) {
    const float g = a.grad_scale * grad[i];
    const float m = a.beta1 * exp_avg[i] + a.one_minus_beta1 * g;
    const float v = a.beta2 * exp_avg_sq[i] + (a.one_minus_beta2 * g) * g;
    float p = param[i];
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    if constexpr (variant == CLOZE_ADAM_FAIRSEQ) {
      p = (p - a.decay * p) - a.step_size * (m / (std::sqrt(v) + a.eps));
    } else if constexpr (variant == CLOZE_ADAM_TORCH) {
      p = p * a.decay - a.step_size * (m / (std::sqrt(v) / a.sqrt_bias_correction2 + a.eps));
    } else {
      p = p - a.step_size * (m / (std::sqrt(v) + a.eps) + a.decay * p);
    }
    param[i] = p;
    if (rounded != nullptr) {
      cloze::store(rounded[i], p);
    }
  }
}

void direction(const float* param, float* grad, float* exp_avg, float* exp_avg_sq, int64_t n, const cloze_adam& args) {
  const cloze_adam a = args;
  for (int64_t i = 0; i < n; ++i) {
    const float g = a.grad_scale * grad[i];
    const float m = a.beta1 * exp_avg[i] + a.one_minus_beta1 * g;
    const float v = a.beta2 * exp_avg_sq[i] + (a.one_minus_beta2 * g) * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    grad[i] = (a.step_size * m) / (std::sqrt(v) / a.sqrt_bias_correction2 + a.eps) + a.decay * param[i];
  }
}

// In double precision over lanes, which are added up in order.
double sum_of_squares(const float* values, int64_t n) {
  double lanes[cloze::kLanes] = {};
  cloze::compiled_for_best([&](int64_t, int64_t) {
    const int64_t whole = n - n % cloze::kLanes;
    for (int64_t i = 0; i < whole; i += cloze::kLanes) {
      for (int64_t lane = 0; lane < cloze::kLanes; ++lane) {
        const double value = values[i + lane];
        lanes[lane] += value * value;
      }
    }
    for (int64_t i = whole; i < n; ++i) {
      const double value = values[i];
      lanes[i - whole] += value * value;
    }
  }, 0, n);
  double sum = 0.0;
  for (const double lane : lanes) {
    sum += lane;
  }
  return sum;
}

// The norm of what `sum_of_squares(begin, end)` sums for pieces of fixed length, small enough to be in the cache: added
// up in order, so that the bits are the same for any number of threads.
template <class SumOfSquares>
double norm_of_pieces(int64_t n, const SumOfSquares& sum_of_squares) {
  const int64_t pieces = (n + kGrain - 1) / kGrain;
  std::vector<double> sums(static_cast<size_t>(pieces), 0.0);
  at::parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      sums[static_cast<size_t>(piece)] = sum_of_squares(piece * kGrain, std::min(n, (piece + 1) * kGrain));
    }
  });
  double total = 0.0;
  for (const double sum : sums) {
    total += sum;
  }
  return std::sqrt(total);
}

} // namespace

cloze_status cloze_fixed_accumulate(int64_t* acc, const void* grad, int64_t n, cloze_gradient kind,
                                    int32_t* overflowed) {
  return cloze::guarded([&] {
    const bool first = kind.first != 0;
    const bool bad = kind.bfloat16 != 0
        ? accumulate_on_all_threads(acc, static_cast<const uint16_t*>(grad), n, first)
        : accumulate_on_all_threads(acc, static_cast<const float*>(grad), n, first);
    *overflowed = bad ? 1 : 0;
  });
}

cloze_status cloze_fixed_restore(const int64_t* acc, float* out, int64_t n, double factor, double* norm) {
  return cloze::guarded([&] {
    const double scale = factor / kScale; // exact but for underflow: a power of two
    *norm = norm_of_pieces(n, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<float>(static_cast<double>(acc[i]) * scale);
      }
      return sum_of_squares(out + begin, end - begin);
    });
  });
}

cloze_status cloze_adam_step(float* param, uint16_t* rounded, const float* grad, float* exp_avg, float* exp_avg_sq,
                             int64_t n, const cloze_adam* args) {
  return cloze::guarded([&] {
    const auto pass = args->variant == CLOZE_ADAM_FAIRSEQ ? adam<CLOZE_ADAM_FAIRSEQ>
        : args->variant == CLOZE_ADAM_TORCH               ? adam<CLOZE_ADAM_TORCH>
                                                          : adam<CLOZE_ADAM_NO_BIAS_CORRECTION>;
    at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
      uint16_t* const to = rounded == nullptr ? nullptr : rounded + begin;
      pass(param + begin, to, grad + begin, exp_avg + begin, exp_avg_sq + begin, end - begin, *args);
    });
  });
}

cloze_status cloze_adam_direction(const float* param, float* grad, float* exp_avg, float* exp_avg_sq, int64_t n,
                                  const cloze_adam* args) {
  return cloze::guarded([&] {
    at::parallel_for(0, n, kGrain, [&](int64_t begin, int64_t end) {
      direction(param + begin, grad + begin, exp_avg + begin, exp_avg_sq + begin, end - begin, *args);
    });
  });
}

cloze_status cloze_norm(const float* values, int64_t n, double* out) {
  return cloze::guarded([&] {
    *out = norm_of_pieces(n, [=](int64_t begin, int64_t end) { return sum_of_squares(values + begin, end - begin); });
  });
}
