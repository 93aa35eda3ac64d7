// Package process runs the program of a benchmark and tells what it has used of the machine so far.
package process
