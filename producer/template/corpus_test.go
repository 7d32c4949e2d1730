package template_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// corpusTypes are the types with values to begin from. Random edits make the
// others of them: what is nearly right is what rules get wrong.
var corpusTypes = map[string][]string{
	"thing":            {"三楼会议室 A-3", "一二三四五六七八九十一二三四五六七八九十", "a"},
	"number":           {"12", "-0.5", "99999999999999999999999999999999"},
	"letter":           {"ABC", "xyzxyzxyzxyzxyzxyzxyzxyzxyzxyzxy"},
	"symbol":           {"#￥!", "#####", "…"},
	"character_string": {"GD-88021", "01234567890123456789012345678901"},
	"time":             {"15:01", "23:59", "2019年10月1日 15:01", "15:01:59~16:00", "2024-02-29 23:59", "2019/1/1 0:00~2019.1.2 1:00"},
	"date":             {"2019年10月1日", "2019-12-25 09:42", "2018.01.01", "2018-01", "12-31", "2月29日", "2019年10月1日~2019年10月7日"},
	"amount":           {"¥214.00", "0.01", "1234567890元", "€9"},
	"phone_number":     {"+86-0766-66888866", "13800000000", "01234567890123456"},
	"car_number":       {"粤A8Z888挂", "粤AD12345"},
	"name":             {"张三", "Jean-Luc", "abcdefghijklmnopqrst", "欧阳娜娜娜娜娜娜娜娜"},
	"phrase":           {"配送中", "正在配送中"},
	"enum_string":      {"客厅", "餐厅"},
	"enum":             {"客厅", "餐厅"},
	"short_thing":      {"已完成", "12345"},
	"const":            {"已受理", "一二三四五六七八九十一二三四五六七八九十"},
	"site":             {"成都站"},
}

// corpusRunes are what edits put in: each kind of character a rule speaks of.
var corpusRunes = []rune("0123456789aZ一好龥〇 -~～:：.,/年月日元¥￥$€£%#…\t\n\u3000\u200b\u0301😀é１ａ＋+'\"\\<&\u2028\x00\x7f")

// TestWhatPassesIsNotRefused sends ten thousand values that passed through the
// simulator, whose rules were written apart from these.
func TestWhatPassesIsNotRefused(t *testing.T) {
	t.Parallel()
	const want = 10_000
	wechat, send := newSender(t)
	random := rand.New(rand.NewPCG(4, 2))
	passed, refused := map[string]int{}, map[string]int{}
	kinds := slices.Sorted(maps.Keys(corpusTypes)) // the same values in each run
	for total := 0; total < want; {
		for _, kind := range kinds {
			seeds := corpusTypes[kind]
			found := resolve(t, wechat, "T-"+kind)
			value := mutate(random, seeds[random.IntN(len(seeds))])
			data, faults := found.Check(map[string]string{kind + "1": value})
			if len(faults) > 0 {
				refused[kind]++
				continue
			}
			passed[kind]++
			total++
			if code, text := send("T-"+kind, data); code != 0 {
				t.Errorf("%s %q passed, and the answer was %d %s", kind, value, code, text)
			}
		}
	}
	for kind := range corpusTypes {
		if passed[kind] < 50 || refused[kind] < 20 {
			t.Errorf("%s: %d passed and %d were refused: the corpus says little", kind, passed[kind], refused[kind])
		}
	}
}

// mutate makes up to three random edits.
func mutate(random *rand.Rand, value string) string {
	runes := []rune(value)
	for range random.IntN(4) {
		at, put := random.IntN(len(runes)+1), corpusRunes[random.IntN(len(corpusRunes))]
		switch {
		case at == len(runes) || random.IntN(3) == 0:
			runes = append(runes[:at:at], append([]rune{put}, runes[at:]...)...)
		case random.IntN(2) == 0:
			runes[at] = put
		default:
			runes = append(runes[:at:at], runes[at+1:]...)
		}
	}
	if random.IntN(20) == 0 {
		runes = []rune(strings.Repeat(string(runes), 1+random.IntN(4)))
	}
	return string(runes)
}

// newSender is a catalog with one template for each type, and a simulator that
// has the same ones and takes what is sent.
func newSender(t *testing.T) (c *template.Catalog, send func(id string, data map[string]string) (int, string)) {
	t.Helper()
	var contents template.Contents
	played := simulator.App{AppID: app, Secret: "0123456789abcdef0123456789abcdef"}
	for kind := range corpusTypes {
		key := store.TemplateKey{Key: kind + "1", Label: "值"}
		one := simulator.Template{
			PriTmplID: "T-" + kind, Title: kind, Type: simulator.TypeLongTerm, Content: "值:{{" + key.Key + ".DATA}}\n",
		}
		if strings.HasPrefix(kind, "enum") {
			key.Values = corpusTypes[kind]
			one.Enums = map[string][]string{key.Key: key.Values}
		}
		played.Templates = append(played.Templates, one)
		contents.Templates = append(contents.Templates, store.Template{
			App: app, TemplateID: one.PriTmplID, Type: one.Type, Content: one.Content, Keys: []store.TemplateKey{key},
		})
	}
	sim, _ := simulatortest.Start(t, simulator.Config{Apps: []simulator.App{played}, AutoConsent: true})
	call := func(path string, body any) []byte {
		sent, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		sim.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(sent)))
		return answer.Body.Bytes()
	}
	var token struct {
		Value string `json:"access_token"`
	}
	got := call("/cgi-bin/stable_token", map[string]string{
		"grant_type": "client_credential", "appid": played.AppID, "secret": played.Secret,
	})
	if err := json.Unmarshal(got, &token); err != nil || token.Value == "" {
		t.Fatalf("no token: %s", got)
	}
	return template.NewCatalog(contents), func(id string, data map[string]string) (int, string) {
		values := map[string]map[string]string{}
		for key, value := range data {
			values[key] = map[string]string{"value": value}
		}
		var answer struct {
			Errcode int    `json:"errcode"`
			Errmsg  string `json:"errmsg"`
		}
		got := call("/cgi-bin/message/subscribe/send?access_token="+token.Value, map[string]any{
			"touser": simulator.OpenID("one"), "template_id": id, "data": values,
			"miniprogram_state": "formal", "lang": "zh_CN",
		})
		if err := json.Unmarshal(got, &answer); err != nil {
			return -1, fmt.Sprintf("%v: %s", err, got)
		}
		return answer.Errcode, answer.Errmsg
	}
}
