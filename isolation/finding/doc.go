// Package finding holds what a proof consists of: the input that every engine judges, the requests that it asks about, and
// the findings that it returns. The engines are the packages next to it; each has one function that finds, and one that
// describes its check.
package finding
