// Copy a replay command; a browser that refuses the clipboard selects the text instead.
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
}
// A closed part would be missing on paper.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) {
    part.open = true;
  }
});
