//! Tests of reports and of what an operator sees of them.
