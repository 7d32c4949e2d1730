"use strict";
// The pages work without this: it ticks all boxes of a list at once, and goes on
// with a long run by itself.
for (const all of document.querySelectorAll("input[data-all]")) {
	all.addEventListener("change", () => {
		for (const box of all.form.querySelectorAll("input[name=id]")) box.checked = all.checked;
	});
}
for (const form of document.querySelectorAll("form[data-continue]")) form.requestSubmit();
