package story

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// contains reports where got does not contain want: every member of an object, every element of a list in some place,
// anything else equal. A list without objects in it is the whole list, so an empty one says that there is nothing.
func contains(got, want any, path string) error {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return mismatch(path, got, want)
		}
		for name, part := range want {
			value, present := object[name]
			if !present {
				return fmt.Errorf("%s: not there; the answer has %s", join(path, name), show(got))
			}
			if err := contains(value, part, join(path, name)); err != nil {
				return err
			}
		}
		return nil
	case []any:
		list, ok := got.([]any)
		if !ok {
			return mismatch(path, got, want)
		}
		for i, part := range want {
			if !anyContains(list, part) {
				return fmt.Errorf("%s: no element contains %s; there are %s", join(path, strconv.Itoa(i)), show(part), show(got))
			}
		}
		if len(list) != len(want) && !slices.ContainsFunc(want, composite) {
			return mismatch(path, got, want)
		}
		return nil
	}
	if got != want {
		return mismatch(path, got, want)
	}
	return nil
}

func composite(v any) bool {
	_, object := v.(map[string]any)
	return object
}

func anyContains(list []any, want any) bool {
	for _, got := range list {
		if contains(got, want, "") == nil {
			return true
		}
	}
	return false
}

func mismatch(path string, got, want any) error {
	return fmt.Errorf("%s: got %s, want %s", path, show(got), show(want))
}

// pick takes a value out of an answer by its path; a string comes without quotes.
func pick(answer any, path string) (string, error) {
	at := answer
	for _, name := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			value, ok := v[name]
			if !ok {
				return "", fmt.Errorf("%s: no %q in %s", path, name, show(at))
			}
			at = value
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return "", fmt.Errorf("%s: no element %q in %s", path, name, show(at))
			}
			at = v[i]
		default:
			return "", fmt.Errorf("%s: %s has no parts", path, show(at))
		}
	}
	if s, ok := at.(string); ok {
		return s, nil
	}
	return show(at), nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
