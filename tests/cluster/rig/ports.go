package main

import (
	"fmt"
	"net"
	"os"
)

const (
	portsFirst = 20000 // below the kernel's range for outgoing connections, which would take ports away again
	portsBlock = 20
	portsCount = 500
)

// claimPorts finds a block of free loopback ports. Clusters that start at the same moment do not meet: a block belongs
// to whoever holds the abstract socket of its number, which the kernel gives back when that process ends (and never
// later: keep the listener open for the life of the cluster).
func claimPorts() (first int, claim net.Listener, err error) {
	start := os.Getpid() % portsCount
	for i := range portsCount {
		block := (start + i) % portsCount
		claim, err := net.Listen("unix", fmt.Sprintf("@vmbackup-rig-ports-%d", block))
		if err != nil {
			continue
		}
		first := portsFirst + block*portsBlock
		if allFree(first, portsBlock) {
			return first, claim, nil
		}
		claim.Close()
	}
	return 0, nil, fmt.Errorf("no %d free loopback ports in a row between %d and %d", portsBlock, portsFirst, portsFirst+portsCount*portsBlock)
}

func allFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
