package main

import (
	"encoding/json"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// event is one line of STATE/csi-events.jsonl. Every line has
//
//	event   create-volume, delete-volume, expand-volume, provision-failed, snapshot-request, cut, snapshot-failed,
//	        delete-snapshot, delete-failed
//	driver  the driver's name
//	mono    CLOCK_MONOTONIC when the line was written, ns: the same clock in every process of the machine
//	wall    the same as RFC 3339 with nanoseconds, UTC
//
// and, as far as they make sense, the fields below. start and end are CLOCK_MONOTONIC ns around the work itself: for a
// cut the copy alone, start being what the snapshot reports as its creation time. snapshot is the name the sidecar asked
// for; attempt counts from 1. Lines are written whole and in order, by both drivers into the same file.
type event struct {
	Event          string `json:"event"`
	Driver         string `json:"driver"`
	Mono           int64  `json:"mono"`
	Wall           string `json:"wall"`
	Volume         string `json:"volume,omitempty"`
	PVC            string `json:"pvc,omitempty"` // namespace/name
	Source         string `json:"source,omitempty"`
	Snapshot       string `json:"snapshot,omitempty"`
	SnapshotHandle string `json:"snapshotHandle,omitempty"`
	VolumeSnapshot string `json:"volumeSnapshot,omitempty"` // namespace/name
	Attempt        int    `json:"attempt,omitempty"`
	Start          int64  `json:"start,omitempty"`
	End            int64  `json:"end,omitempty"`
	Locked         *bool  `json:"locked,omitempty"` // cut, and create-volume that clones a volume
	Code           string `json:"code,omitempty"`
	Error          string `json:"error,omitempty"`
}

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot fail on Linux
	}
	return ts.Nano()
}

// eventLog appends events to a file; safe for concurrent use, also by several processes.
type eventLog struct {
	file   *os.File
	driver string
}

func openEvents(path, driver string) (*eventLog, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &eventLog{f, driver}, nil
}

// add completes and writes e. Tests compare these lines with what the cluster says, so a line that cannot be written is
// an error of the whole driver.
func (l *eventLog) add(e event) {
	e.Driver = l.driver
	e.Mono = monotonic()
	e.Wall = time.Now().UTC().Format(time.RFC3339Nano)
	line, err := json.Marshal(e)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic("writing the event log: " + err.Error())
	}
}
