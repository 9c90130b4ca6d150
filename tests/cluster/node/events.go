package main

import (
	"encoding/json"
	"log"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Fields are the details of one event.
type Fields map[string]any

// EventLog appends one JSON object per line: "event", "mono" (CLOCK_MONOTONIC in ns, comparable with the CSI
// driver's), "wall" (RFC 3339 with ns), and the event's own fields. Safe for concurrent use. A nil log drops all.
type EventLog struct {
	mu   sync.Mutex
	file *os.File
	tap  func(event string, f Fields) // tests listen here
}

func openEventLog(path string) (*EventLog, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &EventLog{file: f}, nil
}

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// Add writes one event. The time is taken before the lock, so it is the time of the call.
func (l *EventLog) Add(event string, fields Fields) {
	if l == nil {
		return
	}
	line := Fields{"event": event, "mono": monotonic(), "wall": time.Now().UTC().Format(time.RFC3339Nano)}
	for k, v := range fields {
		line[k] = v
	}
	data, err := json.Marshal(line)
	if err != nil {
		log.Printf("event %s: %v", event, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tap != nil {
		l.tap(event, line)
	}
	if l.file != nil {
		if _, err := l.file.Write(append(data, '\n')); err != nil {
			log.Printf("event %s: %v", event, err)
		}
	}
}
