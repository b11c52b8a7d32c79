package network

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/snapshot"
)

// anyFamily stands for packets between pods that seem to share no IP family: an address may be missing, or something
// may translate.
const anyFamily = 0

// signature is all that tiers can tell classes apart by. Classes with the same signature share one.
type signature struct {
	key string
	// subject are the rules of policies that the class is, or may be, a subject of; certain those of which it is one.
	subject, certain bitset
	// holds are the rules that certainly have it as a peer, for packets of a family; might also has those where that
	// depends on what is not known.
	holds, might [familySets]bitset
	families     families
	// ports that the class declares under names that some rule has.
	ports []snapshot.NamedPort
	// admitted is what Admin rules may let through, by direction; nil: nothing.
	admitted [2]*allowance
}

// spaceSignature is what tiers can say of all pods of a namespace: policies with subjects in it, rules with peers there.
type spaceSignature struct {
	policies []*tierPolicy
	peers    []rulePeer
}

type rulePeer struct {
	rule int
	peer *tierPeer
}

func (t *tiers) spaceSignature(s *space) *spaceSignature {
	x := &spaceSignature{}
	for _, p := range t.policies {
		if p.first < p.last && p.spaces.has(s.id) {
			x.policies = append(x.policies, p)
		}
	}
	for i := range t.rules {
		for j := range t.rules[i].peers {
			if peer := &t.rules[i].peers[j]; peer.kind != tierPods || peer.spaces.has(s.id) {
				x.peers = append(x.peers, rulePeer{i, peer})
			}
		}
	}
	return x
}

// sign gives the classes of a namespace their signatures.
func (t *tiers) sign(s *space) {
	if t == nil {
		return
	}
	x := t.spaceSignature(s)
	for _, c := range s.classes {
		c.signature = t.signatureOf(x, c)
	}
}

func (t *tiers) newSignature(f families) *signature {
	sig := &signature{subject: newBitset(len(t.rules)), certain: newBitset(len(t.rules)), families: f}
	for i := range sig.holds {
		sig.holds[i], sig.might[i] = newBitset(len(t.rules)), newBitset(len(t.rules))
	}
	return sig
}

func (t *tiers) signatureOf(x *spaceSignature, c *class) *signature {
	sig := t.newSignature(c.families)
	for _, p := range x.policies {
		if !c.host && c.may(p.pods) {
			for i := p.first; i < p.last; i++ {
				sig.subject.set(i)
				if c.always(p.pods, nil) {
					sig.certain.set(i)
				}
			}
		}
	}
	for _, p := range x.peers {
		switch p.peer.kind {
		case tierPods:
			if !c.host && c.may(p.peer.pods) {
				sig.peer(p.rule, c.always(p.peer.pods, nil))
			}
		case tierAddresses:
			sig.addresses(p, c.cells)
		case tierUnclear:
			sig.peer(p.rule, false)
		}
	}
	for _, port := range c.ports {
		if t.names[port.Name] || port.Name == anyName && len(t.names) > 0 {
			sig.ports = append(sig.ports, port)
		}
	}
	return t.intern(sig)
}

// peer notes, for every family, that a rule's peer may be of the class, or that it is.
func (sig *signature) peer(rule int, always bool) {
	for f := range sig.holds {
		sig.might[f].set(rule)
		if always {
			sig.holds[f].set(rule)
		}
	}
}

// addresses notes for which families a peer's ranges hold addresses: all of the family, or some.
func (sig *signature) addresses(p rulePeer, cells []netip.Addr) {
	if len(cells) == 0 {
		for f := range sig.might {
			sig.might[f].set(p.rule)
		}
		return
	}
	for _, f := range []families{ipv4, ipv6} {
		in, of := 0, 0
		for _, cell := range cells {
			if familyOf(cell) == f {
				of++
				if p.peer.has(cell) {
					in++
				}
			}
		}
		if in > 0 {
			sig.might[f].set(p.rule)
			sig.might[anyFamily].set(p.rule)
		}
		if in > 0 && in == of {
			sig.holds[f].set(p.rule)
		}
	}
}

// mayBe reports whether a rule may have it as a peer, for some family.
func (sig *signature) mayBe(rule int) bool {
	return slices.ContainsFunc(sig.might[:], func(b bitset) bool { return b.has(rule) })
}

func (p *tierPeer) has(ip netip.Addr) bool {
	return slices.ContainsFunc(p.blocks, func(b *ipBlock) bool { return b.has(ip) })
}

// world is the signature of an address outside the cluster.
func (t *tiers) world(ip netip.Addr) *signature {
	if t == nil {
		return nil
	}
	sig := t.newSignature(familyOf(ip))
	for i := range t.rules {
		for j := range t.rules[i].peers {
			switch peer := &t.rules[i].peers[j]; peer.kind {
			case tierAddresses:
				sig.addresses(rulePeer{i, peer}, []netip.Addr{ip})
			case tierUnclear:
				sig.might[sig.families].set(i)
			case tierPods: // never outside
			}
		}
	}
	return sig
}

// intern returns the one signature that says the same.
func (t *tiers) intern(sig *signature) *signature {
	key := []byte{byte(sig.families)}
	add := func(b bitset) {
		for _, word := range b {
			key = binary.LittleEndian.AppendUint64(key, word)
		}
	}
	add(sig.subject)
	add(sig.certain)
	for f := range sig.holds {
		add(sig.holds[f])
		add(sig.might[f])
	}
	for _, p := range sig.ports {
		key = append(key, p.Name+"/"+string(p.Protocol)+"/"...)
		key = binary.BigEndian.AppendUint16(key, p.Port)
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if known := t.signatures[string(key)]; known != nil {
		return known
	}
	sig.key = string(key)
	for direction := range sig.admitted {
		if set := t.admission(sig.subject, direction); set != nil {
			sig.admitted[direction] = &allowance{peer: peer{kind: admitted, spaces: set}, ports: &portRule{}}
		}
	}
	t.signatures[sig.key] = sig
	return sig
}

// admission returns the namespaces that Admin rules may let subjects connect with. Addresses may belong to any tenant.
func (t *tiers) admission(subject bitset, direction int) *spaceSet {
	var allowing []int
	for w, word := range t.masks[adminTier][direction] {
		bitset{word & subject[w]}.each(func(i int) {
			if i += w * 64; t.rules[i].action == tierAllow {
				allowing = append(allowing, i)
			}
		})
	}
	if len(allowing) == 0 {
		return nil
	}
	key := binary.LittleEndian.AppendUint64(nil, uint64(direction))
	for _, i := range allowing {
		key = binary.LittleEndian.AppendUint64(key, uint64(i))
	}
	if known := t.admissions[string(key)]; known != nil {
		return known
	}
	members := newBitset(t.spaces)
	for _, i := range allowing {
		for j := range t.rules[i].peers {
			t.rules[i].peers[j].mark(members, t.spaces)
		}
	}
	set := spaceSetOf(members, t.narrow)
	t.admissions[string(key)] = set
	return set
}

func (p *tierPeer) mark(members bitset, spaces int) {
	switch {
	case p.kind != tierPods:
		for i := range spaces {
			members.set(i)
		}
	case p.spaces.wide():
		for w, word := range p.spaces.bits {
			members[w] |= word
		}
	default:
		for _, id := range p.spaces.list {
			members.set(int(id))
		}
	}
}
