// Package process tells what this process has used of the machine so far, for benchmarks.
package process
