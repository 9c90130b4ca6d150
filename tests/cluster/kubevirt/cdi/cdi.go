// Package cdi pins what the CRDs of CDI are generated from: its API types and controller-gen. CDI itself is played by
// the node (../../node), because its module has no entry in Go's checksum database.
package cdi

import _ "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
