package config

// checkApps finds what is wrong between apps.
func (l *loader) checkApps(apps []placedApp) {
	l.checkNames(apps)
	l.checkDefault(apps)
	l.checkKeys(apps)
	l.checkCallbacks(apps)
}

func (l *loader) checkNames(apps []placedApp) {
	first := map[string]string{}
	for _, a := range apps {
		if a.AppID == "" {
			continue
		}
		if other, twice := first[a.AppID]; twice {
			l.fault(a.name+".appid", a.from, "is the same app as %s", other)
			continue
		}
		first[a.AppID] = a.name
	}
}

func (l *loader) checkDefault(apps []placedApp) {
	var chosen *placedApp
	for i, a := range apps {
		switch {
		case !a.Default:
		case chosen != nil:
			l.fault(a.name+".default", a.from, "%s is the default already", chosen.name)
		default:
			chosen = &apps[i]
		}
	}
	if chosen == nil && len(apps) > 1 {
		l.fault(appsKey, apps[0].from, "one of the apps must have default: true")
	}
}

// checkKeys finds Redis keys with two meanings. A token serves one app, and a
// key that another system keeps is never written.
func (l *loader) checkKeys(apps []placedApp) {
	type use struct {
		key  RedisKey
		name string
	}
	var uses []use
	for _, a := range apps {
		for _, u := range []use{
			{a.TokenSource.Foreign, a.name + ": token source"},
			{a.TokenMirror, a.name + ": token mirror"},
		} {
			for _, other := range uses {
				if u.key.same(other.key) {
					l.fault(u.name, a.from, "is the same Redis key as %s", other.name)
				}
			}
			uses = append(uses, u)
		}
	}
}
