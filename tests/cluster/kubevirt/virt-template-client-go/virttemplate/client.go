// Package virttemplate stands in for kubevirt.io/virt-template-client-go v0.2.0, see kubevirt.io/virt-template-api.
package virttemplate

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// Client reaches the group template.kubevirt.io, which no cluster of the rig serves.
type Client struct{ rest rest.Interface }

// NewForConfig makes a Client; config is not changed.
func NewForConfig(config *rest.Config) (*Client, error) {
	c := rest.CopyConfig(config)
	c.APIPath = "/apis"
	c.GroupVersion = &schema.GroupVersion{Group: "template.kubevirt.io", Version: "v1beta1"}
	c.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	r, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, err
	}
	return &Client{rest: r}, nil
}

func (c *Client) TemplateV1beta1() *Client { return c }

func (c *Client) RESTClient() rest.Interface { return c.rest }
