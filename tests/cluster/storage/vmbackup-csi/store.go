package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// volume is what the driver remembers of a volume.
type volume struct {
	ID    string `json:"id"`
	PVC   string `json:"pvc"` // namespace/name, "/" if the sidecar did not say
	Size  int64  `json:"size"`
	Block bool   `json:"block"`
	// Source is what it was made from: "snapshot/ID", "volume/ID" or "".
	Source string `json:"source,omitempty"`
	Knobs  knobs  `json:"knobs,omitempty"`
}

// snapshot is what the driver remembers of a snapshot that has been cut.
type snapshot struct {
	ID      string `json:"id"`
	Volume  string `json:"volume"`
	PVC     string `json:"pvc"`
	Size    int64  `json:"size"`
	Block   bool   `json:"block"`
	Created int64  `json:"created"` // start of the cut, Unix ns
	Ready   int64  `json:"ready"`   // from when it is ready to use, Unix ns; -1: never
	For     string `json:"for"`     // namespace/name of the VolumeSnapshot
	Knobs   knobs  `json:"knobs,omitempty"`
}

// store keeps volumes and snapshots in the state folder; the data directory of each exists as long as its record does.
// Safe for concurrent use as long as nobody works on the same ID twice at a time (operations and locks see to that).
type store struct {
	state  string
	driver string
}

func openStore(state, driver string) (*store, error) {
	s := &store{state, driver}
	for _, dir := range []string{"volumes", "snapshots", s.records("volumes"), s.records("snapshots")} {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(state, dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return s, s.removePartial()
}

// partialPrefix marks a data directory that is still being filled, by the driver of the name that follows.
const partialPrefix = ".partial-"

func (s *store) partial(kind, id string) string {
	return filepath.Join(s.state, kind, partialPrefix+s.driver+"-"+id)
}

// removePartial removes what a driver that was killed in the middle of a copy left behind.
func (s *store) removePartial() error {
	for _, kind := range []string{"volumes", "snapshots"} {
		left, err := filepath.Glob(s.partial(kind, "*"))
		if err != nil {
			return err
		}
		for _, dir := range left {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) records(kind string) string {
	return filepath.Join(s.state, "csi", s.driver, kind)
}

func (s *store) data(kind, id string) string {
	return filepath.Join(s.state, kind, id)
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// idFor is the ID of the volume or snapshot that the sidecar asks for under name: the name itself where it is fit to be
// a file's name, else a hash. The same name always gives the same ID; that is what makes a repeated request the same one.
func idFor(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return fmt.Sprintf("x-%x", sha256.Sum256([]byte(name)))
}

// read returns the record of that kind and ID, or nil if there is none (an ID that idFor cannot give included).
func read[T any](s *store, kind, id string) (*T, error) {
	if !plainName.MatchString(id) {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(s.records(kind), id+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	record := new(T)
	return record, json.Unmarshal(text, record)
}

func (s *store) volume(id string) (*volume, error)     { return read[volume](s, "volumes", id) }
func (s *store) snapshot(id string) (*snapshot, error) { return read[snapshot](s, "snapshots", id) }

// write replaces a record; a reader sees the old one or the new one.
func (s *store) write(kind, id string, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	path := filepath.Join(s.records(kind), id+".json")
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// commit gives a filled partial directory its name and writes its record. A directory of that name without a record is
// what a killed driver left between the two steps, and is replaced.
func (s *store) commit(kind, id string, record any) error {
	dir := s.data(kind, id)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(s.partial(kind, id), dir); err != nil {
		return err
	}
	return s.write(kind, id, record)
}

// remove removes data and record, in that order: a half-done removal is one that is repeated.
func (s *store) remove(kind, id string) error {
	if err := os.RemoveAll(s.data(kind, id)); err != nil {
		return err
	}
	return os.Remove(filepath.Join(s.records(kind), id+".json"))
}

// snapshots returns all snapshots by ID.
func (s *store) snapshots() ([]*snapshot, error) {
	entries, err := os.ReadDir(s.records("snapshots"))
	if err != nil {
		return nil, err
	}
	var all []*snapshot
	for _, entry := range entries {
		id, is := strings.CutSuffix(entry.Name(), ".json")
		if !is {
			continue
		}
		found, err := s.snapshot(id)
		if err != nil {
			return nil, err
		}
		if found != nil { // removed meanwhile
			all = append(all, found)
		}
	}
	slices.SortFunc(all, func(a, b *snapshot) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}
