package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store"
)

// Producer is who hands notifications in by HTTP.
type Producer struct {
	Name string
	// Keys are the hashes of its API keys; each of them will do.
	Keys   []apikey.Hash
	Rights []Right
	// Apps and Templates (ids or aliases) are what it may use; empty means all.
	Apps, Templates []string
	Rate            int           // requests per second with one key; 0 is no limit
	Wait            time.Duration // how long its notifications wait for a binding or a consent
	// MaxPriority is the highest that its notifications may have; "" is critical.
	MaxPriority store.Priority
	Webhook     Webhook
}

// Right is what a producer may do.
type Right string

// The rights.
const (
	RightSend   Right = "send"   // hand in, replay and cancel notifications
	RightRead   Right = "read"   // look at its own notifications and at templates
	RightUsers  Right = "users"  // logins, bindings, consents
	RightManage Right = "manage" // see and act on the notifications of all producers
	RightErase  Right = "erase"  // erase users
	RightToken  Right = "token"  // get the apps' access tokens
)

// Rights are all there are.
var Rights = []Right{RightSend, RightRead, RightUsers, RightManage, RightErase, RightToken}

// Webhook is where a producer is told what became of its notifications.
type Webhook struct {
	URL    string               // empty means nowhere
	Secret Secret               // whsec_ and the key in base64
	Events []store.WebhookEvent // empty means all
}

// producersKey is the key of the list of producers in the file.
const producersKey = "producers"

// maxKeyRate is far above what one process takes.
const maxKeyRate = 100000

// ProducerDefinitions lists every key of a producer in the file.
func ProducerDefinitions() []ItemDefinition { return itemDefinitions(producerSettings()) }

func producerSettings() []itemSetting[Producer] {
	return []itemSetting[Producer]{
		defineItem("name", "", required, producerName(func(p *Producer) *string { return &p.Name }),
			"Who it is; refs are unique under it. Required."),
		defineList(itemSetting[Producer]{
			ItemDefinition: ItemDefinition{
				Key: "keys", Values: apikey.HashPrefix + "HASH", required: true,
				Doc: "Hashes of its API keys, as `wxnotify keys new NAME` prints them; required. Several, to change one without a gap.",
			},
			noun: "keys", without: "no one", list: takeKeys,
		}),
		defineList(itemSetting[Producer]{
			ItemDefinition: ItemDefinition{
				Key: "rights", Values: joined(Rights), Default: "[send, read]",
				Doc: "What it may do: hand in, look at its own, work on users and consents, act for all producers, erase users, get access tokens.",
			},
			without: "send and read",
			list:    closedList("right", Rights, func(p *Producer) *[]Right { return &p.Rights }),
		}),
		defineList(itemSetting[Producer]{
			ItemDefinition: ItemDefinition{Key: "apps", Values: "appids", Doc: "The apps it may use. Without it: all."},
			without:        "all", list: func(p *Producer, texts []string) error { p.Apps = texts; return nil },
		}),
		defineList(itemSetting[Producer]{
			ItemDefinition: ItemDefinition{Key: "templates", Values: "ids and aliases", Doc: "The templates it may use. Without it: all."},
			without:        "all", list: func(p *Producer, texts []string) error { p.Templates = texts; return nil },
		}),
		defineItem("rate", "0", 0, wholeNumber(func(p *Producer) *int { return &p.Rate }, 0, maxKeyRate),
			"Requests per second with one key, in each process; 0 is no limit."),
		defineItem("max_priority", string(store.Critical), 0, choice(func(p *Producer) *store.Priority { return &p.MaxPriority }, store.Priorities...),
			"The highest priority of its notifications: a request for a higher one is refused, a template's is lowered."),
		defineItem("wait", "0s", 0, duration(func(p *Producer) *time.Duration { return &p.Wait }, 0, maxWait),
			"How long its notifications wait for the user's binding or consent, unless they or their template say so."),
		defineItem("webhook.url", "", 0, webURL(func(p *Producer) *string { return &p.Webhook.URL }),
			"Is told what became of its notifications. Only https, unless WEBHOOK_ALLOW_CIDRS names the intranet."),
		defineItem("webhook.secret", "", secret, webhookSecret(func(p *Producer) *Secret { return &p.Webhook.Secret }),
			"Signs what is told (Standard Webhooks); required with webhook.url."),
		defineList(itemSetting[Producer]{
			ItemDefinition: ItemDefinition{Key: "webhook.events", Values: joined(store.WebhookEvents), Doc: "What is told. Without it: all."},
			without:        "all",
			list:           closedList("event", store.WebhookEvents, func(p *Producer) *[]store.WebhookEvent { return &p.Webhook.Events }),
		}),
	}
}

// maxWait is that of MAX_AGE.
const maxWait = 8760 * time.Hour

func joined[S ~string](words []S) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// closedList takes words that must all be known.
func closedList[T any, S ~string](noun string, known []S, at func(*T) *[]S) func(*T, []string) error {
	return func(t *T, texts []string) error {
		var found []S
		for _, text := range texts {
			if !slices.Contains(known, S(text)) {
				return fmt.Errorf("%sis no %s: there are %s", quoted(text, false), noun, joined(known))
			}
			if !slices.Contains(found, S(text)) {
				found = append(found, S(text))
			}
		}
		*at(t) = found
		return nil
	}
}

func takeKeys(p *Producer, texts []string) error {
	for _, text := range texts {
		h, ok := apikey.Parse(text)
		if !ok {
			// It may be a key: it is not repeated.
			return errors.New("must be hashes, " + apikey.HashPrefix + " and 64 digits, as `wxnotify keys new NAME` prints them; never the keys")
		}
		p.Keys = append(p.Keys, h)
	}
	return nil
}

func producerName[T any](at func(*T) *string) kind[T] {
	const values = "up to 64 letters, digits, dots, dashes and underscores"
	return kind[T]{name: "text", values: values, parse: func(t *T, text string) error {
		if !producerForm.MatchString(text) {
			return errors.New("must have " + values)
		}
		*at(t) = text
		return nil
	}}
}

// webhookSecret is a key of Standard Webhooks, which asks for 24 to 64 bytes.
func webhookSecret[T any](at func(*T) *Secret) kind[T] {
	const values = "whsec_ and 24 to 64 bytes in base64"
	return kind[T]{name: "text", values: values, parse: func(t *T, text string) error {
		encoded, ok := strings.CutPrefix(text, "whsec_")
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 || len(key) > 64 {
			return errors.New("must be " + values)
		}
		*at(t) = Secret(text)
		return nil
	}}
}

// placedProducer is a producer with the place it was declared at.
type placedProducer struct {
	Producer
	name string
	from Origin
}

// producers makes the list of producers out of API_KEYS and the file's.
func (l *loader) producers(d *draft) {
	var found []placedProducer
	for _, p := range d.Producers {
		found = append(found, placedProducer{Producer: p, name: "API_KEYS: " + p.Name, from: l.given["API_KEYS"]})
	}
	for i, e := range l.lists[producersKey] {
		p := placedProducer{
			Producer: Producer{Rights: []Right{RightSend, RightRead}},
			name:     fmt.Sprintf("%s[%d]", producersKey, i), from: l.at(e.line),
		}
		lines := readItem(l, d, &p.Producer, p.name, e, producerSettings())
		if line, ok := lines["name"]; ok {
			p.from.Line = line
		}
		found = append(found, p)
	}
	l.checkProducers(d, found)
	d.Producers = nil
	for _, p := range found {
		d.Producers = append(d.Producers, p.Producer)
	}
}

// checkProducers finds what is wrong between producers, and with what they name.
func (l *loader) checkProducers(d *draft, producers []placedProducer) {
	names, keys := map[string]string{}, map[apikey.Hash]string{}
	for _, p := range producers {
		if other, twice := names[p.Name]; twice && p.Name != "" {
			l.fault(p.name+".name", p.from, "is the same name as that of %s", other)
		}
		names[p.Name] = p.name
		for _, k := range p.Keys {
			if other, twice := keys[k]; twice {
				l.fault(p.name, p.from, "has a key that is there already, in %s", other)
			}
			keys[k] = p.name
		}
		for _, app := range p.Apps {
			if _, ok := d.App(app); !ok {
				l.fault(p.name+".apps", p.from, "%sis not among the apps that are set", quoted(app, false))
			}
		}
		l.checkWebhook(d, p)
	}
}

func (l *loader) checkWebhook(d *draft, p placedProducer) {
	w := p.Webhook
	switch {
	case w.URL == "" && (w.Secret != "" || len(w.Events) > 0):
		l.fault(p.name+".webhook.url", p.from, "is required")
	case w.URL != "" && w.Secret == "":
		l.fault(p.name+".webhook.secret", p.from, "is required: without it anybody could tell the producer anything")
	case strings.HasPrefix(w.URL, "http://") && len(d.WebhookAllow) == 0:
		l.fault(p.name+".webhook.url", p.from, "must be https, unless WEBHOOK_ALLOW_CIDRS names the network it is in")
	}
}
