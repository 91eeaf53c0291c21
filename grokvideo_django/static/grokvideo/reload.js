/* Loads the page anew, but not under the hands of somebody who has opened, focused or selected something on it.
   Without scripts a meta element does it, whatever is open. */
(() => {
    const seconds = Number(document.currentScript.dataset.seconds);

    const isInUse = () => {
        const focused = document.activeElement;
        return (
            document.querySelector("#content details[open]") !== null ||
            (focused !== null && focused !== document.body) ||
            !document.getSelection().isCollapsed
        );
    };

    document.querySelector(".grokvideo-reload-pauses").hidden = false;
    setInterval(() => {
        if (!isInUse()) {
            location.reload();
        }
    }, seconds * 1000);
})();
