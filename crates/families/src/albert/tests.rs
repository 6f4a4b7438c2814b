//! Settings and objective of this family.
