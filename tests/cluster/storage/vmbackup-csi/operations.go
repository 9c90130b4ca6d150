package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// operations runs one piece of work per key at a time. A caller that comes while it runs waits for its result; a caller
// that gives up leaves it running. Safe for concurrent use.
type operations struct {
	mu       sync.Mutex
	running  map[string]*operation
	attempts map[string]int
}

type operation struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when result and err are final
	result any
	err    error
}

func newOperations() *operations {
	return &operations{running: map[string]*operation{}, attempts: map[string]int{}}
}

// join starts work for key, unless it runs already, and waits for its end or for that of ctx; ctx's end is answered with
// its gRPC status (DeadlineExceeded, Canceled). work's own context ends with stop(key) only.
func (o *operations) join(ctx context.Context, key string, work func(context.Context) (any, error)) (any, error) {
	o.mu.Lock()
	op := o.running[key]
	if op == nil {
		workCtx, cancel := context.WithCancel(context.Background())
		op = &operation{cancel: cancel, done: make(chan struct{})}
		o.running[key] = op
		go func() {
			op.result, op.err = work(workCtx)
			cancel()
			o.mu.Lock()
			delete(o.running, key)
			o.mu.Unlock()
			close(op.done)
		}()
	}
	o.mu.Unlock()
	select {
	case <-op.done:
		return op.result, op.err
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// stop cancels the work of key, if it runs, and waits until it has ended.
func (o *operations) stop(key string) {
	o.mu.Lock()
	op := o.running[key]
	o.mu.Unlock()
	if op != nil {
		op.cancel()
		<-op.done
	}
}

// attempt counts the tries at key, from 1.
func (o *operations) attempt(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attempts[key]++
	return o.attempts[key]
}

// wait sleeps d (never: for ever) or until ctx ends, which is answered with Aborted: the work was stopped, not refused.
func wait(ctx context.Context, d time.Duration) error {
	var alarm <-chan time.Time
	if d != never {
		alarm = time.After(d)
	}
	select {
	case <-alarm:
		return nil
	case <-ctx.Done():
		return status.Error(codes.Aborted, "stopped before it was done")
	}
}

// locks is a reader-writer lock per key. Readers copy from a directory, the writer removes it. Entries stay: there are as
// many as a test makes volumes.
type locks struct {
	mu  sync.Mutex
	all map[string]*sync.RWMutex
}

func newLocks() *locks { return &locks{all: map[string]*sync.RWMutex{}} }

func (l *locks) of(key string) *sync.RWMutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock := l.all[key]
	if lock == nil {
		lock = &sync.RWMutex{}
		l.all[key] = lock
	}
	return lock
}
