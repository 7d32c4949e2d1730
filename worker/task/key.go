package task

import "regexp"

// templateKey matches the keys of WeChat's templates: a type that WeChat knows,
// and a number.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_sendmessage.html
var templateKey = regexp.MustCompile(`^(?:thing|short_thing|number|letter|symbol|character_string|time|date|amount|phone_number|` +
	`car_number|name|phrase|enum|enum_string|const|site|others)\d{1,3}$`)

// IsTemplateKey reports whether a template could have this data key. Any other
// is the producer's own text: one who swaps keys and values puts an openid or a
// user id there, so it is shown nowhere.
func IsTemplateKey(key string) bool { return templateKey.MatchString(key) }
