let seen;
new EventSource("/events-stream").onmessage = async (change) => {
  if (seen !== undefined && seen !== change.data && document.activeElement.tagName !== "INPUT") {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const fresh = page.getElementById("live");
    if (fresh) document.getElementById("live").replaceWith(fresh);
  }
  seen = change.data;
};
