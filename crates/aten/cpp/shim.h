// The C face of the shim: everything that Rust sees. Nothing here throws, and nothing knows what a model is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" {

// What became of a call. A message belongs to the caller, who gives it back to cloze_message_free.
enum : int32_t { CLOZE_OK = 0, CLOZE_TORCH = 1, CLOZE_PEER_LOST = 2 };
struct cloze_status {
  int32_t kind;
  char* message;
};
void cloze_message_free(char* message);

// Bytes lent for the length of a call.
struct cloze_bytes {
  const uint8_t* data;
  size_t len;
};
// Replaces the content of a buffer that the shim lent to a callback.
void cloze_buffer_assign(void* buffer, cloze_bytes content);

// kernels.cpp
struct cloze_gradient {
  int32_t bfloat16; // not 0: of bfloat16 instead of float
  int32_t first;    // not 0: replaces what is in the accumulator
};
cloze_status cloze_fixed_accumulate(int64_t* acc, const void* grad, int64_t n, cloze_gradient kind,
                                    int32_t* overflowed);
// Also leaves the L2 norm of what comes out.
cloze_status cloze_fixed_restore(const int64_t* acc, float* out, int64_t n, double factor, double* norm);

enum : int32_t { CLOZE_ADAM_FAIRSEQ = 0, CLOZE_ADAM_TORCH = 1, CLOZE_ADAM_NO_BIAS_CORRECTION = 2 };
struct cloze_adam {
  int32_t variant;
  float beta1, one_minus_beta1, beta2, one_minus_beta2, eps;
  float step_size;             // what multiplies m / denominator
  float decay;                 // FAIRSEQ: lr*wd; TORCH: 1 - lr*wd; NO_BIAS_CORRECTION: wd
  float sqrt_bias_correction2; // TORCH only
  float grad_scale;            // what gradients are multiplied by first
};
// `rounded` gets the new parameters as bfloat16; it may be null.
cloze_status cloze_adam_step(float* param, uint16_t* rounded, const float* grad, float* exp_avg, float* exp_avg_sq,
                             int64_t n, const cloze_adam* args);

// Like cloze_adam_step without bias correction or with it (TORCH), but leaves `param` alone and turns `grad` into the
// direction m / denominator * step_size + decay * param.
cloze_status cloze_adam_direction(const float* param, float* grad, float* exp_avg, float* exp_avg_sq, int64_t n,
                                  const cloze_adam* args);
cloze_status cloze_norm(const float* values, int64_t n, double* out);

// layers.cpp. Tensors are at::Tensor; the optional ones may be null. What comes out is the caller's.
int32_t cloze_products_by_onednn();
cloze_status cloze_linear(const void* x, const void* weight, const void* bias, void** out);
cloze_status cloze_dropout(const void* x, const void* residual, uint64_t seed, uint32_t threshold, void** out);
cloze_status cloze_attention_weights(const void* scores, const void* mask, double scale, uint64_t seed,
                                     uint32_t threshold, void** out);
cloze_status cloze_gelu_tanh(const void* x, void** out);

// runtime.cpp
cloze_status cloze_set_deterministic(int32_t on);
cloze_status cloze_set_interop_threads(int32_t n);
void cloze_keep_freed_memory();
// A text of the library's own, handed back like a message: free it with cloze_message_free.
char* cloze_cpu_capability();
char* cloze_version();

// gloo.cpp. The callbacks return 0, or anything else with an error message in the last buffer.
struct cloze_store {
  void* context;
  int32_t (*set)(void* context, cloze_bytes key, cloze_bytes value, void* error);
  int32_t (*get)(void* context, cloze_bytes key, int64_t timeout_ms, void* value_or_error);
  int32_t (*add)(void* context, cloze_bytes key, int64_t amount, int64_t* sum, void* error);
  int32_t (*contains)(void* context, const cloze_bytes* keys, size_t n, int32_t* answer, void* error);
  void (*release)(void* context);
};
struct cloze_gloo;
// Takes the store over, also when it fails.
cloze_status cloze_gloo_connect(cloze_store store, int32_t rank, int32_t world, const char* address,
                                int64_t timeout_ms, cloze_gloo** out);
cloze_status cloze_gloo_all_reduce_sum(cloze_gloo* group, const void* tensor);
cloze_status cloze_gloo_broadcast(cloze_gloo* group, const void* tensor, int32_t root);
// From any thread, at any time between connect and free.
void cloze_gloo_abort(cloze_gloo* group);
void cloze_gloo_free(cloze_gloo* group);
}
