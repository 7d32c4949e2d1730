package simulator

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
)

// SeedApp returns an app with SeedTemplates, for whoever needs just one.
func SeedApp() App {
	return App{ //nolint:gosec // the secret of an app that does not exist
		AppID:     "wx5e3d0a7c91b2f468",
		Secret:    "7d1f0c5b9a8e4d6f3b2a1c0e9f8d7b6a",
		Templates: SeedTemplates(),
	}
}

// The ids of SeedTemplates.
const (
	// SeedApproval is 审批结果通知 (phrase1, thing2, name3, time4).
	SeedApproval = "Hq7x2LkV0sPzN4eRb1TfYwGm9cUjQa3DiXo5KZ8vM6E"
	// SeedPickup is 领用单领用通知 (character_string1, thing2, number3, time5).
	SeedPickup = "b3Ns8YtWc5KdR1vXq0FhLz7PmJg2EoUi9Ta4_Q6BxCk"
	// SeedReview is 待审核通知 (thing1, thing11, thing12, time4, thing10).
	SeedReview = "Zk4-PcT9mVx1wLr8Gq3YbNs7Ef0JhUa5Di2KoX6RtSc"
	// SeedReport is 数据报表生成通知 (thing1, thing2), long-term.
	SeedReport = "u6Wd1RzQf8XnCk3Tb9HvMs0LyGp5JeA7iO2xKq4NwVo"
	// SeedWorkOrder is 工单完成提醒 (character_string1, thing3, amount5, name6, date7).
	SeedWorkOrder = "Mx9Jc0TgB5rLq7VwKf2SdZp4YnHu8EaO3iR6k1-XtNs"
)

// SeedTemplates returns the five notices of an office Mini Program. 数据报表生成通知
// is long-term, the others one-time, so that both kinds are there.
func SeedTemplates() []Template {
	return []Template{
		{
			PriTmplID: SeedApproval, Title: "审批结果通知", Type: TypeOneTime,
			Content: "审批结果:{{phrase1.DATA}}\n申请事项:{{thing2.DATA}}\n审批人:{{name3.DATA}}\n审批时间:{{time4.DATA}}\n",
			Example: "审批结果:已通过\n申请事项:办公用品领用\n审批人:王芳\n审批时间:2026年3月2日 15:01\n",
		},
		{
			PriTmplID: SeedPickup, Title: "领用单领用通知", Type: TypeOneTime,
			Content: "领用单号:{{character_string1.DATA}}\n领用物品:{{thing2.DATA}}\n数量:{{number3.DATA}}\n领用时间:{{time5.DATA}}\n",
			Example: "领用单号:LY20260302-0017\n领用物品:人体工学椅\n数量:2\n领用时间:2026年3月2日 16:30\n",
		},
		{
			PriTmplID: SeedReview, Title: "待审核通知", Type: TypeOneTime,
			Content: "申请人:{{thing1.DATA}}\n部门:{{thing11.DATA}}\n工种:{{thing12.DATA}}\n申请时间:{{time4.DATA}}\n申请物品:{{thing10.DATA}}\n",
			Example: "申请人:李雷\n部门:设备部\n工种:电工\n申请时间:2026年3月2日 09:12\n申请物品:绝缘手套\n",
		},
		{
			PriTmplID: SeedReport, Title: "数据报表生成通知", Type: TypeLongTerm,
			Content: "报表名称:{{thing1.DATA}}\n统计周期:{{thing2.DATA}}\n",
			Example: "报表名称:设备领用月报\n统计周期:2026年2月\n",
		},
		{
			PriTmplID: SeedWorkOrder, Title: "工单完成提醒", Type: TypeOneTime,
			Content: "工单编号:{{character_string1.DATA}}\n工单内容:{{thing3.DATA}}\n费用:{{amount5.DATA}}\n处理人:{{name6.DATA}}\n完成日期:{{date7.DATA}}\n",
			Example: "工单编号:GD-88021\n工单内容:三楼空调维修\n费用:¥214.00\n处理人:韩梅梅\n完成日期:2026年3月2日\n",
		},
	}
}

var openIDPattern = regexp.MustCompile(`^o[A-Za-z0-9_-]{27}$`)

// WellFormedOpenID reports whether s looks like an openid: 28 characters, the
// first an o. The form is observed, not documented.
func WellFormedOpenID(s string) bool { return openIDPattern.MatchString(s) }

// OpenID returns a well-formed openid for name, always the same.
func OpenID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}
