// Elementwise passes of layers, forward and backward, over plain memory. They know pointers and lengths, no tensors.
//
// As in kernels.cpp, every element is computed by the same IEEE operations in the same order, whatever the processor
// and the number of threads: bodies are compiled once per instruction set (`spread`), and sums go over lanes of a
// fixed number. Values in memory are `float` or bfloat16 (`uint16_t`); in between they are `float`.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace cloze {

constexpr int64_t kLanes = 16;
// Elements whose dropout is drawn at once: 16 words of four.
constexpr int64_t kBlock = 64;
// Enough work for a thread to be worth waking.
constexpr int64_t kElementGrain = 16384;

inline float load(const float& from) {
  return from;
}

inline float load(const uint16_t& from) {
  const uint32_t bits = static_cast<uint32_t>(from) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void store(float& to, float value) {
  to = value;
}

// To nearest, ties to even.
inline void store(uint16_t& to, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  to = static_cast<uint16_t>(value == value ? rounded : 0x7FC0);
}

#if defined(__x86_64__)
// What the compiler can inline into these becomes code for their instruction set.
template <class Body>
__attribute__((flatten, target("avx512f,avx512bw,avx512dq,avx512vl,fma"))) void compiled_for_avx512(
    const Body& body, int64_t begin, int64_t end) {
  body(begin, end);
}

template <class Body>
__attribute__((flatten, target("avx2,fma"))) void compiled_for_avx2(const Body& body, int64_t begin, int64_t end) {
  body(begin, end);
}
#endif

template <class Body>
void compiled_for_best(const Body& body, int64_t begin, int64_t end) {
#if defined(__x86_64__)
  static const int level = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl")
      ? 2
      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
  if (level == 2) {
    return compiled_for_avx512(body, begin, end);
  }
  if (level == 1) {
    return compiled_for_avx2(body, begin, end);
  }
#endif
  body(begin, end);
}

// Runs `body(begin, end)` over 0..n on all threads.
template <class Body>
void spread(int64_t n, int64_t grain, const Body& body) {
  at::parallel_for(0, n, std::max<int64_t>(grain, 1), [&](int64_t begin, int64_t end) {
    compiled_for_best(body, begin, end);
  });
}

// a * b + c, rounded once: an instruction where there is one, and the same bits where there is none.
inline float fused(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}

// e^x for x <= 0, -inf and what is no number, within 2 units in the last place; what would be denormal is 0. The
// polynomial is that of Cephes' expf.
inline float exp_negative(float x) {
  const float clamped = x > -87.0f ? x : -87.0f;
  // Rounds to an integer, which then lies in the low bits.
  const float shifted = fused(clamped, 1.44269504088896341f, 12582912.0f);
  const float n = shifted - 12582912.0f;
  const float r = fused(n, 2.12194440e-4f, fused(n, -0.693359375f, clamped));
  float p = 1.9875691500e-4f;
  p = fused(p, r, 1.3981999507e-3f);
  p = fused(p, r, 8.3334519073e-3f);
  p = fused(p, r, 4.1665795894e-2f);
  p = fused(p, r, 1.6666665459e-1f);
  p = fused(p, r, 5.0000001201e-1f);
  p = fused(p * r, r, r + 1.0f);
  uint32_t exponent, bits;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  std::memcpy(&bits, &p, sizeof bits);
  bits += exponent << 23;
  std::memcpy(&p, &bits, sizeof p);
  return x > -87.0f ? p : x == x ? 0.0f : x;
}

// Which elements are dropped, and what the others are multiplied by. Four elements share a word of SplitMix64 (Steele,
// Lea & Flood 2014) over a counter that begins at the seed: 16 bits each, dropped if below the threshold.
struct Drops {
  uint64_t seed;
  uint32_t threshold;

  float scale() const {
    return 65536.0f / static_cast<float>(65536 - threshold);
  }

  // The draws of kBlock elements that begin at word `first`.
  void draw(uint64_t first, uint16_t* draws) const {
    uint64_t words[kBlock / 4];
    for (uint64_t i = 0; i < kBlock / 4; ++i) {
      uint64_t word = seed + (first + i + 1) * 0x9E3779B97F4A7C15u;
      word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
      word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
      words[i] = word ^ (word >> 31);
    }
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first of four is in the lowest bits");
    std::memcpy(draws, words, sizeof words);
  }

  // What to multiply each of kBlock elements by.
  void factors(uint64_t first, float* factors) const {
    uint16_t draws[kBlock];
    draw(first, draws);
    const float kept = scale();
    for (int64_t i = 0; i < kBlock; ++i) {
      factors[i] = draws[i] >= threshold ? kept : 0.0f;
    }
  }
};

// out = residual + dropout(x); without a residual if that is null.
template <class T>
void drop(const T* x, const T* residual, T* out, int64_t n, const Drops& drops) {
  spread((n + kBlock - 1) / kBlock, kElementGrain / kBlock, [=](int64_t first, int64_t last) {
    float factors[kBlock];
    for (int64_t block = first; block < last; ++block) {
      drops.factors(static_cast<uint64_t>(block) * (kBlock / 4), factors);
      const int64_t at = block * kBlock;
      const auto pass = [&](int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          const float value = load(x[at + i]) * factors[i];
          store(out[at + i], residual == nullptr ? value : load(residual[at + i]) + value);
        }
      };
      if (at + kBlock <= n) {
        pass(kBlock);
      } else {
        pass(n - at);
      }
    }
  });
}

// The shape of attention scores: `rows` rows of `len`, of which `rows_per_sequence` belong to each sequence.
struct Scores {
  int64_t rows, len, rows_per_sequence;

  int64_t blocks() const {
    return (len + kBlock - 1) / kBlock;
  }

  int64_t grain() const {
    return kElementGrain / std::max<int64_t>(len, 1);
  }
};

// The sum or the greatest of `values`, whose number is a multiple of kLanes: by lanes, and then over the lanes.
template <class Combine>
inline float over_lanes(const float* values, int64_t n, float start, const Combine& combine) {
  float lanes[kLanes];
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    lanes[lane] = start;
  }
  for (int64_t i = 0; i < n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = combine(lanes[lane], values[i + lane]);
    }
  }
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) {
      lanes[lane] = combine(lanes[lane], lanes[lane + half]);
    }
  }
  return lanes[0];
}

// probabilities = softmax(scale * scores + mask), and dropped = dropout(probabilities). `mask` has `len` values per
// sequence and may be null.
// Without dropout `dropped` is null.
template <class T>
void attention_weights(const T* scores, const float* mask, T* probabilities, T* dropped, const Scores& shape,
                       float scale, const Drops& drops) {
  spread(shape.rows, shape.grain(), [=](int64_t first, int64_t last) {
    const int64_t padded = shape.blocks() * kBlock;
    std::vector<float> scratch(static_cast<size_t>(padded + kBlock));
    float* row = scratch.data();
    float* factors = row + padded;
    for (int64_t r = first; r < last; ++r) {
      const T* from = scores + r * shape.len;
      for (int64_t i = 0; i < shape.len; ++i) {
        row[i] = load(from[i]) * scale;
      }
      if (mask != nullptr) {
        const float* masked = mask + r / shape.rows_per_sequence * shape.len;
        for (int64_t i = 0; i < shape.len; ++i) {
          row[i] += masked[i];
        }
      }
      for (int64_t i = shape.len; i < padded; ++i) {
        row[i] = -std::numeric_limits<float>::infinity();
      }
      const float greatest = over_lanes(row, padded, -std::numeric_limits<float>::infinity(),
                                        [](float a, float b) { return a > b ? a : b; });
      for (int64_t i = 0; i < padded; ++i) {
        row[i] = exp_negative(row[i] - greatest);
      }
      const float inverse = 1.0f / over_lanes(row, padded, 0.0f, [](float a, float b) { return a + b; });
      T* to = probabilities + r * shape.len;
      for (int64_t i = 0; i < shape.len; ++i) {
        store(to[i], row[i] * inverse);
      }
      if (dropped == nullptr) {
        continue;
      }
      for (int64_t block = 0; block < shape.blocks(); ++block) {
        drops.factors(static_cast<uint64_t>((r * shape.blocks() + block) * (kBlock / 4)), factors);
        const int64_t at = block * kBlock;
        const int64_t count = std::min(kBlock, shape.len - at);
        for (int64_t i = 0; i < count; ++i) {
          store(dropped[r * shape.len + at + i], load(to[at + i]) * factors[i]);
        }
      }
    }
  });
}

// The gradient of the scores from that of what attention_weights returned.
template <class T>
void attention_weights_backward(const T* gradient, const T* probabilities, T* out, const Scores& shape, float scale,
                                const Drops& drops) {
  spread(shape.rows, shape.grain(), [=](int64_t first, int64_t last) {
    const int64_t padded = shape.blocks() * kBlock;
    std::vector<float> scratch(static_cast<size_t>(2 * padded + kBlock));
    float* of_probabilities = scratch.data();
    float* products = of_probabilities + padded;
    float* factors = products + padded;
    for (int64_t r = first; r < last; ++r) {
      const T* from = gradient + r * shape.len;
      const T* p = probabilities + r * shape.len;
      for (int64_t i = 0; i < shape.len; ++i) {
        of_probabilities[i] = load(from[i]);
      }
      if (drops.threshold != 0) {
        for (int64_t block = 0; block < shape.blocks(); ++block) {
          drops.factors(static_cast<uint64_t>((r * shape.blocks() + block) * (kBlock / 4)), factors);
          for (int64_t i = 0; i < kBlock; ++i) {
            of_probabilities[block * kBlock + i] *= factors[i];
          }
        }
      }
      for (int64_t i = 0; i < shape.len; ++i) {
        products[i] = of_probabilities[i] * load(p[i]);
      }
      const float sum = over_lanes(products, padded, 0.0f, [](float a, float b) { return a + b; });
      T* to = out + r * shape.len;
      for (int64_t i = 0; i < shape.len; ++i) {
        store(to[i], scale * (load(p[i]) * (of_probabilities[i] - sum)));
      }
    }
  });
}

constexpr float kGeluFactor = 0.7978845608028654f; // sqrt(2 / pi)
constexpr float kGeluCubic = 0.044715f;

// 1 / (1 + e^-x)
inline float logistic(float x) {
  const float e = exp_negative(x > 0.0f ? -x : x);
  return (x > 0.0f ? 1.0f : e) / (1.0f + e);
}

// 2u
inline float twice_u(float x) {
  return x * fused(2.0f * kGeluFactor * kGeluCubic, x * x, 2.0f * kGeluFactor);
}

// The GELU of google-research/bert: 0.5 x (1 + tanh u) = x / (1 + e^-2u).
template <class T>
void gelu_tanh(const T* x, T* out, int64_t n) {
  spread(n, kElementGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float value = load(x[i]);
      store(out[i], value * logistic(twice_u(value)));
    }
  });
}

template <class T>
void gelu_tanh_backward(const T* gradient, const T* x, T* out, int64_t n) {
  spread(n, kElementGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float value = load(x[i]);
      const float share = logistic(twice_u(value));
      // d(2u)/dx
      const float slope = fused(6.0f * kGeluFactor * kGeluCubic, value * value, 2.0f * kGeluFactor);
      store(out[i], load(gradient[i]) * fused(value * slope, share * (1.0f - share), share));
    }
  });
}

} // namespace cloze
